"""Strategy Command Center: `streamlit run src/dashboard.py`. Reads the gold of any lake, and never writes."""

import streamlit as st

from coinlake.dashboard.door import APP, AROUND

app = st.App(APP, **AROUND)

"""Strategy Command Center: `streamlit run src/dashboard.py`. Reads the gold of any lake, and never writes."""

from coinlake.dashboard.app import main

main()

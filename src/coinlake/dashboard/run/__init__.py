"""The script that Streamlit runs, apart from `pages/`, which it would take for pages of its own, and its settings."""

"""What Streamlit runs for each reader, and again at each of his clicks: as little as can be."""

from coinlake.dashboard.app import main

main()

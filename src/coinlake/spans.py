"""How long a candle can be: names that bronze, silver and gold share."""

SPANS_S = {"1m": 60, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "4h": 14_400, "1d": 86_400, "4d": 345_600}
"""Length of each span in seconds, shortest first."""

DAY_S = SPANS_S["1d"]

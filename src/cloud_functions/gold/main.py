"""`gold-analyze-func`: concludes from what landed in silver.

Start it with `functions-framework --target gold_analyze`.
"""

from coinlake.functions import gold_analyze

__all__ = ["gold_analyze"]

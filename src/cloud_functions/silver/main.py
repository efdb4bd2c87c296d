"""`silver-process-func`: cleans what landed in bronze.

Start it with `functions-framework --target silver_process`.
"""

from coinlake.functions import silver_process

__all__ = ["silver_process"]

"""`bronze-ingest-func`: fetches what is missing when it is called.

Start it with `functions-framework --target bronze_ingest`.
"""

from coinlake.functions import bronze_ingest

__all__ = ["bronze_ingest"]

"""A lakehouse for coin markets: `coinlake.open("data").table("gold.daily").to_pandas()`."""

from typing import Any

__all__ = ["open"]


def __getattr__(name: str) -> Any:
    """`coinlake.open`, imported only when it is asked for: the command line starts without it."""
    if name != "open":
        raise AttributeError(f"module 'coinlake' has no attribute {name!r}")
    from coinlake.library import open

    return open

"""A made-up market at CoinGecko's own paths, for demos, tests and load. Nothing of it is real, and it says so."""

from coinlake.simulator.door import DAY_A_SECOND, Options, Running, running, serve
from coinlake.simulator.market import Market

__all__ = ["DAY_A_SECOND", "Market", "Options", "Running", "running", "serve"]

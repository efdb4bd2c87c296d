"""The coins at the top of every simulated market: their traits are written down, those of the others are drawn."""

from __future__ import annotations

from typing import NamedTuple

SECTORS = (
    ("layer-1", "Layer 1 (L1)", ("Chain", "Network", "Coin", "Ledger")),
    ("decentralized-finance-defi", "Decentralized Finance (DeFi)", ("Finance", "Swap", "Protocol", "Yield")),
    ("meme-token", "Meme", ("Inu", "Pepe", "Moon", "Cat")),
    ("exchange-based-tokens", "Exchange-based Tokens", ("Exchange Token", "Token", "Coin")),
    ("gaming", "Gaming (GameFi)", ("Games", "Quest", "World", "Arena")),
    ("artificial-intelligence", "Artificial Intelligence (AI)", ("AI", "Agents", "Compute")),
    ("storage", "Storage", ("Storage", "Cloud", "Drive")),
    ("privacy-coins", "Privacy Coins", ("Cash", "Veil", "Zero")),
    ("stablecoins", "Stablecoins", ("USD", "Dollar")),
    ("wrapped-tokens", "Wrapped Tokens", ("Wrapped", "Staked")),
)
"""Id, name, and what coins of the sector are called besides their own name."""

L1, DEFI, MEME, EXCHANGE, GAMING, AI, STORAGE, PRIVACY, STABLE, WRAPPED = range(len(SECTORS))


class Major(NamedTuple):
    """Traits of a named coin: cap in dollars and supply in coins as of 2024; `beta` to the market, `of_sector` to its
    sector, `own` the volatility of its own a square root of a year; `turnover` is volume of a day over cap; `listed` is
    the year it came.
    """

    id: str
    name: str
    symbol: str
    sector: int
    cap_usd: float
    supply: float
    max_supply: float
    beta: float
    of_sector: float
    own: float
    turnover: float
    growth: float
    listed: float


NONE = 0.0
"""A maximal supply that is not there."""

MAJORS = (
    Major("bitcoin", "Bitcoin", "btc", L1, 1.1e12, 19_600_000.0, 21e6, 1.0, 0.0, 0.10, 0.03, 0.006, 2013.32),
    Major("ethereum", "Ethereum", "eth", L1, 2.6e11, 120_200_000.0, NONE, 1.05, 0.45, 0.62, 0.05, 0.002, 2015.6),
    Major("tether", "Tether", "usdt", STABLE, 9.5e10, 9.5e10, NONE, 0.0, 0.0, 0.03, 0.6, 0.1, 2015.15),
    Major("binancecoin", "BNB", "bnb", EXCHANGE, 7.5e10, 153_856_150.0, 2e8, 0.95, 0.6, 0.75, 0.02, -0.01, 2017.7),
    Major("ripple", "XRP", "xrp", L1, 3.1e10, 54_200_000_000.0, 1e11, 1.0, 0.6, 0.95, 0.05, 0.03, 2013.6),
    Major("solana", "Solana", "sol", L1, 4.4e10, 430_000_000.0, NONE, 1.2, 0.6, 0.8, 0.05, 0.05, 2020.28),
    Major("usd-coin", "USDC", "usdc", STABLE, 2.8e10, 2.8e10, NONE, 0.0, 0.0, 0.02, 0.25, 0.1, 2018.75),
    Major("dogecoin", "Dogecoin", "doge", MEME, 1.2e10, 1.426e11, NONE, 1.0, 0.8, 1.05, 0.06, 0.035, 2013.95),
    Major("wrapped-bitcoin", "Wrapped Bitcoin", "wbtc", WRAPPED, 9e9, 160_000.0, NONE, 1.0, 0, 0, 0.02, 0.0, 2019.1),
    Major("cardano", "Cardano", "ada", L1, 1.9e10, 35_500_000_000.0, 4.5e10, 1.05, 0.6, 0.9, 0.03, 0.01, 2017.8),
    Major("terrausd", "TerraUSD", "ust", STABLE, 8e9, 8e9, NONE, 0.0, 0.0, 0.05, 0.1, 0.0, 2020.7),
    Major(
        "shiba-inu", "Shiba Inu", "shib", MEME, 5.6e9, 5.89289410812691e14, NONE, 1.1, 0.9, 0.9, 0.05, -0.001, 2020.6
    ),
    Major("staked-ether", "Staked Ether", "steth", WRAPPED, 2.1e10, 9_300_000.0, NONE, 1, 0, 0, 0.003, 0.05, 2020.97),
    Major("chainlink", "Chainlink", "link", DEFI, 8.2e9, 568_000_000.0, 1e9, 1.05, 0.7, 0.95, 0.06, 0.06, 2017.9),
    Major("litecoin", "Litecoin", "ltc", L1, 5.3e9, 74_100_000.0, 8.4e7, 0.95, 0.5, 0.7, 0.08, 0.015, 2013.35),
    Major("dai", "Dai", "dai", STABLE, 5.2e9, 5.2e9, NONE, 0.0, 0.0, 0.04, 0.04, 0.02, 2019.88),
    Major("monero", "Monero", "xmr", PRIVACY, 3e9, 18_300_000.0, NONE, 0.8, 0.5, 0.8, 0.02, 0.008, 2014.4),
    Major("uniswap", "Uniswap", "uni", DEFI, 4.4e9, 598_000_000.0, 1e9, 1.05, 0.8, 0.9, 0.03, 0.04, 2020.72),
    Major("pepe", "Pepe", "pepe", MEME, 5.5e8, 420_690_000_000_000.0, 4.2069e14, 1.2, 1.1, 1.2, 0.2, 0.0, 2023.3),
    Major("picomoon", "Picomoon", "pico", MEME, 6e7, 4.2e18, NONE, 1.0, 1.0, 1.3, 0.01, 0.0, 2021.3),
)
"""From the top of the market: the n-th is the coin of the n-th place of every simulated market."""

BITCOIN, ETHEREUM = 0, 1
FOLLOWS = {8: BITCOIN, 12: ETHEREUM}
"""Wrapped coins, and whose price they have."""
LOSES_ITS_PEG = 10

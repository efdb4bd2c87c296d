"""What each of CoinGecko's plans allows, on the safe side of what is documented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PUBLIC = "https://api.coingecko.com/api/v3"
PAID = "https://pro-api.coingecko.com/api/v3"


@dataclass(frozen=True)
class Plan:
    """One plan: its address, calls in any 60 s, credits a month, days of history, and the header its key travels in.

    `monthly_credits` and `history_days` are None where there is no limit that we know; `key_header` is empty where the
    plan has no key.
    """

    name: str
    url: str
    rate: int
    monthly_credits: int | None
    history_days: int | None
    key_header: str

    @property
    def is_paid(self) -> bool:
        """Whether it is served by the host for paying customers."""
        return self.url == PAID


_ALL = (
    # Keyless calls share their limit with whoever has the same address.
    Plan("keyless", PUBLIC, 5, None, 365, ""),
    # Documented as 30 a minute for years and as 100 since mid-2026: we stay below either.
    Plan("demo", PUBLIC, 25, 10_000, 365, "x-cg-demo-api-key"),
    Plan("basic", PAID, 200, 100_000, 730, "x-cg-pro-api-key"),
    Plan("analyst", PAID, 400, 500_000, None, "x-cg-pro-api-key"),
    Plan("lite", PAID, 400, 2_000_000, None, "x-cg-pro-api-key"),
    # Agreed one by one: `/key` tells.
    Plan("enterprise", PAID, 400, None, None, "x-cg-pro-api-key"),
)

PLANS: Mapping[str, Plan] = {plan.name: plan for plan in _ALL}
"""Every plan by its name."""

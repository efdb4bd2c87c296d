"""The ways in which the service says no, each with its own envelope, as they were seen."""

from __future__ import annotations

from typing import Any

from coinlake.simulator.clock import iso

_PRICING = "https://www.coingecko.com/en/api/pricing"


class Refusal(Exception):
    """An answer that is an error: status and body."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


def missing(parameter: str) -> Refusal:
    """A parameter that has to be there is not."""
    return Refusal(422, {"error": f"Missing parameter {parameter}"})


def invalid(parameter: str) -> Refusal:
    """A parameter has a value that is none."""
    return Refusal(400, {"error": f"invalid {parameter}"})


def coin_not_found() -> Refusal:
    """There is no coin of that id."""
    return Refusal(404, {"error": "coin not found"})


def incorrect_path() -> Refusal:
    """There is nothing at that path."""
    return Refusal(404, {"error": "Incorrect path. Please check https://docs.coingecko.com/"})


def internal_error() -> Refusal:
    """What `/ohlc` without parameters gives."""
    return Refusal(500, {"status": 500, "error": "Internal Server Error"})


def key_missing(now_ms: int) -> Refusal:
    """The host for paying customers wants a key."""
    message = (
        "API Key Missing. Please make sure you're using the right authentication method. For Pro API, ensure you pass "
        "in x_cg_pro_api_key. For Public/Demo API, ensure you pass in x_cg_demo_api_key."
    )
    return Refusal(401, {"status": {"timestamp": _stamp(now_ms), "error_code": 10002, "error_message": message}})


def pro_only() -> Refusal:
    """The plan does not include the endpoint, or the interval."""
    message = f"This request is limited to PRO API subscribers. Please visit {_PRICING} to subscribe."
    return Refusal(401, {"status": {"error_code": 10005, "error_message": message}})


def pro_key_on_public_host() -> Refusal:
    """A paid key came to the host for everybody."""
    message = (
        "If you are using Pro API key, please change your root URL from api.coingecko.com to pro-api.coingecko.com"
    )
    return Refusal(400, {"status": {"error_code": 10010, "error_message": message}})


def demo_key_on_paid_host() -> Refusal:
    """A free key came to the host for paying customers."""
    message = (
        "If you are using Demo API key, please change your root URL from pro-api.coingecko.com to api.coingecko.com"
    )
    return Refusal(400, {"status": {"error_code": 10011, "error_message": message}})


def beyond_window(now_ms: int, days: int) -> Refusal:
    """The window asked for begins earlier than the plan reaches; nothing of it is given."""
    message = (
        "Your request exceeds the allowed time range. Public API users are limited to querying historical data within "
        f"the past {days} days. Upgrade to a paid plan to enjoy full historical data access: {_PRICING}. "
    )
    status = {"timestamp": _stamp(now_ms), "error_code": 10012, "error_message": message}
    return Refusal(401, {"error": {"status": status}})


def _stamp(now_ms: int) -> str:
    return iso(now_ms).replace("Z", "+00:00")

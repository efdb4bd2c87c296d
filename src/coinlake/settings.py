"""Every setting there is, declared once. Flags win over the environment, that over `coinlake.toml`, that over defaults.

The environment and the folder come in as arguments: this module reads one file and nothing else.
"""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from coinlake.answer import to_asked, to_text
from coinlake.bronze.plans import PAID, PLANS, PUBLIC, Plan
from coinlake.errors import ConfigError

FILE = "coinlake.toml"
PREFIX = "COINLAKE_"
MASK = "••••••"

DATASETS = ("markets", "history", "candles", "global", "coins", "prices")


class Secret:
    """A text that is shown nowhere: only `reveal` gives it. No dataclass, for `asdict` would open it."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def reveal(self) -> str:
        """The text itself; empty where none was set."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return MASK if self._text else "not set"

    __str__ = __repr__


@dataclass(frozen=True)
class Setting:
    """One setting: what it is for, what it should be, how its text is read, and its default.

    `key` is its name in the file; its flag and its environment variable follow from it. `default` takes the settings
    declared above it; `follows` names the one it depends on. `parse` raises ValueError for what it does not accept.
    """

    name: str
    key: str
    prose: str
    should_be: str
    parse: Callable[[str], Any]
    default: Callable[[Mapping[str, Any]], Any]
    follows: str = ""
    secret: bool = False

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.key.upper()

    @property
    def flag(self) -> str:
        """Its flag on the command line (a secret has none: others can read a command line)."""
        return "--" + self.key.replace("_", "-")


# How texts are read ------------------------------------------------------------------------------------------------


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text)
        if number < low or (high is not None and number > high):
            raise ValueError(text)
        return number

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = float(text)
        if not low <= number <= high:
            raise ValueError(text)
        return number

    return parse


_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_LEAST_MEMORY = 400 * 10**6


class Size(int):
    """Bytes, which people read in larger units."""

    def __str__(self) -> str:
        for unit in ("TB", "GB", "MB"):
            if self >= _UNITS[unit.lower()]:
                return f"{self / _UNITS[unit.lower()]:.3g}{unit}"
        return f"{int(self)}B"


def _size(text: str) -> Size:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]?i?b?)", text.strip().lower())
    if not found:
        raise ValueError(text)
    unit = found[2].replace("i", "")
    size = Size(float(found[1]) * _UNITS[unit if unit.endswith("b") or not unit else f"{unit}b"])
    if size < _LEAST_MEMORY:
        raise ValueError(text)
    return size


def memory_there() -> int:
    """Bytes of memory that this process may have: the machine's, or its container's if that has less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return min(machine, int(Path(limit).read_text()))
        except (OSError, ValueError):
            continue
    return machine


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(text)
        return text.lower()

    return parse


def _list_of(item: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(item(part.strip()) for part in text.split(",") if part.strip()))

    return parse


def _name(text: str) -> str:
    """A coin's or a source's id: it becomes part of an address, so nothing that means something there."""
    if not re.fullmatch(r"[^\s/?#&%\\]+", text):
        raise ValueError(text)
    return text


_ROOT = "a folder, or a gs:// prefix such as gs://bucket/lake"


def root(text: str) -> str:
    """Where a lake or a layer may lie: a folder, `file:///folder`, or `gs://bucket` with or without a prefix.

    Raises:
        ValueError: the text begins like an address, and is none of these.
    """
    is_address = "://" in text or re.match(r"(gs|file):", text, re.IGNORECASE)
    if is_address and not re.match(r"gs://[a-z0-9][a-z0-9._-]+(/|$)|file:///[^/]", text):
        raise ValueError(text)
    return text.rstrip("/") or "/"


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", text):
        raise ValueError(text)
    return text.rstrip("/")


def _master(text: str) -> str:
    if not re.fullmatch(r"local(\[(\*|[1-9]\d*)(,[1-9]\d*)?\])?|yarn|(spark|k8s)://\S+", text):
        raise ValueError(text)
    return text


def _clock(text: str) -> datetime | str:
    if text.startswith("http"):
        return _url(text)
    try:
        return to_asked(text)
    except ConfigError as exc:
        raise ValueError(text) from exc


def _secret(text: str) -> Secret:
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError
    return Secret(text)


def _options(text: str) -> Secret:
    options = json.loads(text)
    if not isinstance(options, dict) or not all(isinstance(value, str) for value in options.values()):
        raise ValueError
    return Secret(text)


# What there is -----------------------------------------------------------------------------------------------------


def _setting(
    name: str,
    prose: str,
    should_be: str,
    parse: Callable[[str], Any],
    default: Any = None,
    *,
    key: str = "",
    by: Callable[[Mapping[str, Any]], Any] | None = None,
    follows: str = "",
    secret: bool = False,
) -> Any:
    setting = Setting(name, key or name, prose, should_be, parse, by or (lambda _: default), follows, secret)
    return field(metadata={"setting": setting})


def _below(layer: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda values: f"{values['lake'].rstrip('/')}/{layer}"


def _by_plan(limit: Callable[[Plan], Any]) -> Callable[[Mapping[str, Any]], Any]:
    return lambda values: limit(PLANS[values["plan"]])


@dataclass(frozen=True)
class Settings:
    """The value of every setting, read and checked. `load` makes it."""

    lake: str = _setting("lake", "Where the lake lies.", _ROOT, root, "data")
    bronze: str = _setting(
        "bronze",
        "Root of bronze, where it is not below the lake.",
        _ROOT,
        root,
        by=_below("bronze"),
        follows="lake",
    )
    silver: str = _setting(
        "silver",
        "Root of silver, where it is not below the lake.",
        _ROOT,
        root,
        by=_below("silver"),
        follows="lake",
    )
    gold: str = _setting(
        "gold",
        "Root of gold, where it is not below the lake.",
        _ROOT,
        root,
        by=_below("gold"),
        follows="lake",
    )
    api_key: Secret = _setting(  # noqa: RUF009 (a field, made by a function)
        "api_key", "CoinGecko's key. None is needed.", "a key without spaces", _secret, Secret(), secret=True
    )
    plan: str = _setting(
        "plan",
        f"CoinGecko's plan: {', '.join(PLANS)}. "
        "It sets address, pace and budget. Without it: keyless, or demo with a key.",
        f"one of {', '.join(PLANS)}",
        _one_of(*PLANS),
        by=lambda values: "demo" if values["api_key"] else "keyless",
        follows="api_key",
    )
    api_url: str = _setting(
        "api_url",
        "Address that CoinGecko's paths are appended to.",
        "an http:// or https:// address without user and password",
        _url,
        by=_by_plan(lambda plan: plan.url),
        follows="plan",
    )
    rate: int = _setting(
        "rate",
        "Most calls in any 60 seconds, kept across runs; 0 for no limit.",
        "a whole number from 0 on",
        _whole(0),
        by=_by_plan(lambda plan: plan.rate),
        follows="plan",
    )
    now: datetime | str | None = _setting(  # noqa: RUF009 (likewise)
        "now",
        "The moment to take for now, or the address of a simulator's clock; without it the machine's clock.",
        "a moment from 1970-01-01 to 2262-01-01 such as 2022-02-01T00:45:00Z, or http://127.0.0.1:PORT/clock",
        _clock,
    )
    top: int = _setting(
        "top", "How many of the largest coins to follow.", "a whole number from 1 to 10000", _whole(1, 10_000), 10
    )
    coins: tuple[str, ...] = _setting(
        "coins",
        "The coins to follow, by CoinGecko id, in place of the largest: bitcoin,ethereum.",
        "ids joined by commas, such as bitcoin,ethereum",
        _list_of(_name),
        (),
    )
    days: int = _setting(
        "days", "How many finished days of history to hold.", "a whole number from 1 to 36500", _whole(1, 36_500), 364
    )
    datasets: tuple[str, ...] = _setting(
        "datasets",
        f"What to fetch: {', '.join(DATASETS)}.",
        f"some of {', '.join(DATASETS)}, joined by commas",
        _list_of(_one_of(*DATASETS)),
        ("markets", "history", "global", "coins"),
    )
    granularity: str = _setting(
        "granularity",
        "How fine the history is: daily, hourly or 5m.",
        "one of daily, hourly, 5m",
        _one_of("daily", "hourly", "5m"),
        "daily",
    )
    monthly_credits: int = _setting(
        "monthly_credits",
        "Most calls in a calendar month; 0 for no budget.",
        "a whole number from 0 on",
        _whole(0),
        by=_by_plan(lambda plan: plan.monthly_credits or 0),
        follows="plan",
    )
    daily_credits: int = _setting(
        "daily_credits",
        "Most calls in a day; 0 for no budget.",
        "a whole number from 0 on",
        _whole(0),
        by=lambda values: math.ceil(values["monthly_credits"] / 10),
        follows="monthly_credits",
    )
    source_order: tuple[str, ...] = _setting(
        "source_order",
        "Sources in the order in which gold prefers them; others follow by name.",
        "names joined by commas, such as coingecko,mine",
        _list_of(_name),
        ("coingecko",),
        key="sources",
    )
    fee_bp: float = _setting(
        "fee_bp",
        "Fee of one side of a trade in backtests, in basis points.",
        "a number from 0 to 1000",
        _number(0, 1000),
        10.0,
    )
    slippage_bp: float = _setting(
        "slippage_bp",
        "What the market takes of one side of a trade in backtests, in basis points.",
        "a number from 0 to 1000",
        _number(0, 1000),
        5.0,
    )
    memory: int = _setting(
        "memory",
        "About how much memory a table of gold is made in where it is made anew, such as 1.5GB.",
        "a size of 400MB or more, such as 1.5GB",
        _size,
        by=lambda _: Size(memory_there() // 2),
    )
    engine: str = _setting(
        "engine",
        "What works on the rows: duckdb, pandas or spark.",
        "one of duckdb, pandas, spark",
        _one_of("duckdb", "pandas", "spark"),
        "duckdb",
    )
    spark_master: str = _setting(
        "spark_master",
        "Where the engine spark works: local[*] (every core of this machine), local[2], or spark://host:7077. "
        "Without it, what spark-submit says, as Dataproc does; without that local[*].",
        "local, local[N], local[*], spark://host:port or another master that Spark knows",
        _master,
        "",
    )
    keep_hours: int = _setting(
        "keep_hours", "What clean-up removes is older than this many hours.", "a whole number from 0 on", _whole(0), 24
    )
    deadline_s: int = _setting(
        "deadline_s",
        "Seconds after which a run stops at the next part and leaves the rest to the next run; 0 for none.",
        "a whole number from 0 on",
        _whole(0),
        0,
    )
    storage_options: Secret = _setting(  # noqa: RUF009 (likewise)
        "storage_options",
        "Options of the gs:// client, as delta-rs names them, for an emulator or a key file. None are needed on Google "
        "Cloud or after `gcloud auth application-default login`.",
        'a JSON object of texts, such as {"google_service_account_path": "key.json"}',
        _options,
        Secret(),
        secret=True,
    )
    log: str = _setting(
        "log",
        "How progress is written to stderr: auto (a picture on a terminal, else json), json or text.",
        "one of auto, json, text",
        _one_of("auto", "json", "text"),
        "auto",
    )

    @property
    def options(self) -> Mapping[str, float]:
        """What tables of gold are made with besides sources: part of the definition of those that take it."""
        return {"fee_bp": self.fee_bp, "slippage_bp": self.slippage_bp}

    @property
    def client_options(self) -> dict[str, str]:
        """The options of the storage client, by name."""
        options: dict[str, str] = json.loads(self.storage_options.reveal() or "{}")
        return options

    @property
    def history_days(self) -> int | None:
        """How many days of history the plan reaches back; None where all there is may be had."""
        return PLANS[self.plan].history_days


SETTINGS: Mapping[str, Setting] = {each.name: each.metadata["setting"] for each in fields(Settings)}
"""Every setting by its name, in the order of declaration."""


# Where values come from --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """The settings, where each value came from (in words, by name), and what somebody should hear."""

    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, str]]:
        """Per setting: key, value as text (secrets masked), origin, variable and prose."""
        return [
            {
                "setting": setting.key,
                "value": shown(getattr(self.settings, name)),
                "from": self.origins[name],
                "variable": setting.variable,
                "what": setting.prose,
            }
            for name, setting in SETTINGS.items()
        ]


def load(flags: Mapping[str, Any], environ: Mapping[str, str], folder: Path) -> Loaded:
    """Settle every setting from flags (by setting name; None is not given), environment, file in `folder`, defaults.

    Raises:
        ConfigError: a value is not what it should be, the file cannot be read, or a name is none of ours.
    """
    filed = _file(folder)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, setting in SETTINGS.items():
        values[name], origins[name] = _settle(setting, flags.get(name), environ, filed, values)
    return Loaded(Settings(**values), origins, _strangers(environ))


def demand_key(settings: Settings) -> None:
    """Refuse to call CoinGecko's own address on a plan with a key when no key is set.

    Raises:
        ConfigError: the key is missing.
    """
    if settings.plan != "keyless" and not settings.api_key and settings.api_url in {PUBLIC, PAID}:
        raise ConfigError(
            f"api_key is not set, but the {settings.plan} plan needs one; "
            f"set {SETTINGS['api_key'].variable}, or {SETTINGS['plan'].variable}=keyless to go without"
        )


def shown(value: object) -> str:
    """A setting's value as a person would type it; secrets stay masked, what is not set is empty."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return to_text(value)
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _settle(
    setting: Setting, flag: Any, environ: Mapping[str, str], filed: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[Any, str]:
    if flag is not None:
        return _read(setting, flag, setting.flag), f"flag {setting.flag}"
    if environ.get(setting.variable, "").strip():
        return _read(setting, environ[setting.variable], setting.variable), f"environment {setting.variable}"
    if setting.key in filed:
        return _read(setting, filed[setting.key], FILE), FILE
    return setting.default(values), f"default for {_because(setting, values)}" if setting.follows else "default"


def _because(setting: Setting, values: Mapping[str, Any]) -> str:
    return f"{SETTINGS[setting.follows].key} {shown(values[setting.follows])}"


def _read(setting: Setting, raw: Any, origin: str) -> Any:
    try:
        return setting.parse(_text(raw))
    except (ValueError, OverflowError) as exc:
        got = "something else" if setting.secret or "@" in str(raw) else _short(repr(raw))
        raise ConfigError(f"{setting.key} should be {setting.should_be}; {origin} says {got}") from exc


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text):,} characters)"


def _text(raw: Any) -> str:
    """What flags, variables and TOML's own types give, as one text."""
    if isinstance(raw, list | tuple):
        return ",".join(_text(each) for each in raw)
    if isinstance(raw, date | datetime):
        return raw.isoformat()
    if isinstance(raw, bool | dict | time):
        raise ValueError(raw)
    return str(raw).strip()


def _file(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    try:
        filed = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as exc:
        raise ConfigError(f"{FILE} cannot be read ({exc}); mend it or remove it") from exc
    keys = [setting.key for setting in SETTINGS.values()]
    for key in filed:
        if key not in keys:
            raise ConfigError(f"{FILE} has {key!r}, which is no setting{_nearest(key, keys)}")
    return filed


def _strangers(environ: Mapping[str, str]) -> tuple[str, ...]:
    """A word on each variable that begins like ours: it may be another program's, so it stops nothing."""
    ours = [setting.variable for setting in SETTINGS.values()]
    return tuple(
        f"{name} is ignored, for it is no setting{_nearest(name, ours)}"
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in ours
    )


def _nearest(name: str, names: list[str]) -> str:
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else "; `coinlake config` lists them all"

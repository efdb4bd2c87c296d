"""Settings: one declaration each, four places they may come from, and one sentence when a value is wrong."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinlake.bronze import plan
from coinlake.bronze.plans import PAID, PLANS, PUBLIC
from coinlake.errors import ConfigError
from coinlake.settings import DATASETS, SETTINGS, Loaded, Secret, Settings, demand_key, load, memory_there

KEY = "CG-s3cr3t"


def _load(flags: dict[str, Any], environ: dict[str, str], folder: Path, toml: str = "") -> Loaded:
    if toml:
        (folder / "coinlake.toml").write_text(toml)
    return load(flags, environ, folder)


def _error(flags: dict[str, Any], environ: dict[str, str], folder: Path, toml: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        _load(flags, environ, folder, toml)
    return str(caught.value)


def test_without_anything_set_the_defaults_need_no_key_and_are_polite(tmp_path: Path) -> None:
    settings = load({}, {}, tmp_path).settings
    assert (settings.plan, settings.top, settings.days, settings.rate) == ("keyless", 10, 364, 5)
    assert settings.api_url == PUBLIC
    assert settings.now is None
    assert not settings.api_key
    demand_key(settings)


def test_flags_win_over_the_environment_that_over_the_file_that_over_defaults(tmp_path: Path) -> None:
    toml, environ, flags = "top = 30\n", {"COINLAKE_TOP": "20"}, {"top": "40"}
    seen = [
        _load({}, {}, tmp_path),
        _load({}, {}, tmp_path, toml),
        _load({}, environ, tmp_path),
        _load(flags, environ, tmp_path),
    ]
    assert [(each.settings.top, each.origins["top"]) for each in seen] == [
        (10, "default"),
        (30, "coinlake.toml"),
        (20, "environment COINLAKE_TOP"),
        (40, "flag --top"),
    ]


def test_a_flag_that_was_not_given_and_an_empty_variable_set_nothing(tmp_path: Path) -> None:
    loaded = load({"top": None}, {"COINLAKE_TOP": " "}, tmp_path)
    assert (loaded.settings.top, loaded.origins["top"]) == (10, "default")


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_can_be_set_by_its_variable_and_by_the_file_alike(name: str, tmp_path: Path) -> None:
    texts = {
        "lake": "gs://bucket/lake",
        "memory": "1.5GB",
        "bronze": "/b",
        "silver": "/s",
        "gold": "/g",
        "api_url": "http://127.0.0.1:1/api/v3",
        "api_key": KEY,
        "plan": "lite",
        "rate": "7",
        "now": "2022-02-01T00:45:00Z",
        "top": "3",
        "coins": "bitcoin,ripple",
        "days": "9",
        "datasets": "markets,prices",
        "granularity": "hourly",
        "monthly_credits": "70",
        "daily_credits": "5",
        "source_order": "mine,coingecko",
        "fee_bp": "12.5",
        "slippage_bp": "0",
        "engine": "pandas",
        "spark_master": "spark://127.0.0.1:7077",
        "keep_hours": "1",
        "deadline_s": "540",
        "storage_options": "{}",
        "log": "json",
    }
    setting = SETTINGS[name]
    by_variable = _load({}, {setting.variable: texts[name]}, tmp_path)
    by_file = _load({}, {}, tmp_path, f'{setting.key} = "{texts[name]}"\n')
    value = getattr(by_variable.settings, name)
    assert value == getattr(by_file.settings, name) != getattr(load({}, {}, tmp_path / "nowhere").settings, name)


def test_the_file_may_use_its_own_types(tmp_path: Path) -> None:
    toml = 'top = 3\ncoins = ["bitcoin", "ethereum"]\nnow = 2022-02-01T00:45:00Z\n'
    settings = _load({}, {}, tmp_path, toml).settings
    assert (settings.top, settings.coins) == (3, ("bitcoin", "ethereum"))
    assert settings.now == datetime(2022, 2, 1, 0, 45, tzinfo=UTC)


def test_layers_lie_below_the_lake_unless_they_have_a_root_of_their_own(tmp_path: Path) -> None:
    settings = load({"lake": "/x/lake/"}, {"COINLAKE_GOLD": "gs://gold"}, tmp_path).settings
    assert (settings.bronze, settings.silver, settings.gold) == ("/x/lake/bronze", "/x/lake/silver", "gs://gold")


@pytest.mark.parametrize("name", PLANS)
def test_the_plan_gives_address_pace_and_budget(name: str, tmp_path: Path) -> None:
    loaded = load({"plan": name}, {}, tmp_path)
    settings = loaded.settings
    assert (settings.api_url, settings.rate, settings.monthly_credits, settings.history_days) == (
        PLANS[name].url,
        PLANS[name].rate,
        PLANS[name].monthly_credits or 0,
        PLANS[name].history_days,
    )
    assert settings.daily_credits * 10 == settings.monthly_credits
    assert loaded.origins["rate"] == f"default for plan {name}"


def test_a_key_alone_means_the_free_plan_with_a_key(tmp_path: Path) -> None:
    assert load({}, {"COINLAKE_API_KEY": KEY}, tmp_path).settings.plan == "demo"
    assert load({}, {"COINLAKE_API_KEY": KEY, "COINLAKE_PLAN": "lite"}, tmp_path).settings.api_url == PAID


def test_a_plan_with_a_key_is_not_asked_without_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="COINLAKE_API_KEY"):
        demand_key(load({"plan": "demo"}, {}, tmp_path).settings)
    demand_key(load({"plan": "demo", "api_url": "http://127.0.0.1:8790/api/v3"}, {}, tmp_path).settings)
    demand_key(load({"plan": "demo"}, {"COINLAKE_API_KEY": KEY}, tmp_path).settings)


def test_no_budget_in_the_month_means_none_in_the_day(tmp_path: Path) -> None:
    assert load({"monthly_credits": "0"}, {}, tmp_path).settings.daily_credits == 0
    assert load({"monthly_credits": "5"}, {}, tmp_path).settings.daily_credits == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top", "0"),
        ("top", "ten"),
        ("top", "1.5"),
        ("days", "-1"),
        ("rate", "-1"),
        ("plan", "pro"),
        ("api_url", "api.coingecko.com"),
        ("api_url", "http://a b/"),
        ("api_url", "http://h/v3?key=1"),
        ("now", "yesterday"),
        ("now", "0001-01-01T00:00:00Z"),
        ("now", "1969-12-31T23:59:59Z"),
        ("now", "2262-04-12T00:00:00Z"),
        ("now", "9999-12-31T23:59:59-05:00"),
        ("coins", "bit coin"),
        ("coins", "a/b"),
        ("datasets", "markets,tickers"),
        ("granularity", "weekly"),
        ("engine", "spark2"),
        ("keep_hours", "-1"),
        ("fee_bp", "-1"),
        ("fee_bp", "nan"),
        ("slippage_bp", "5 %"),
        ("deadline_s", "soon"),
        ("log", "xml"),
        ("lake", "s3://bucket"),
        ("lake", "gs://"),
        ("lake", "gs:bucket"),
        ("lake", "gs:/bucket"),
        ("lake", "gs:///x"),
        ("lake", "GS://bucket"),
        ("lake", "file://"),
        ("lake", "file:///"),
        ("lake", "file://host/data"),
        ("bronze", "gs://"),
        ("silver", "gs:x"),
        ("gold", "gs:///gold"),
        ("source_order", "my file"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_name_origin_value_and_what_it_should_be(
    name: str, value: str, tmp_path: Path
) -> None:
    setting = SETTINGS[name]
    for flags, environ, origin in (
        ({name: value}, {}, setting.flag),
        ({}, {setting.variable: value}, setting.variable),
    ):
        said = _error(flags, environ, tmp_path)
        assert said == f"{setting.key} should be {setting.should_be}; {origin} says {value!r}"
    assert _error({}, {}, tmp_path, f'{setting.key} = "{value}"').startswith(f"{setting.key} should be")


@pytest.mark.parametrize("toml", ["top = true", "[top]\nn = 1", "top = 1.5", "coins = [true]", "days = 10:00:00"])
def test_a_wrong_type_in_the_file_is_refused(toml: str, tmp_path: Path) -> None:
    assert "coinlake.toml says" in _error({}, {}, tmp_path, toml)


def test_a_very_long_wrong_value_is_not_repeated_in_full(tmp_path: Path) -> None:
    assert len(_error({"top": "9" * 5000}, {}, tmp_path)) < 200


def test_a_wrong_key_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    said = _error({}, {"COINLAKE_API_KEY": "s3cr3t with spaces"}, tmp_path)
    assert "api_key" in said
    assert "s3cr3t" not in said


def test_an_unknown_key_in_the_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    assert "did you mean lake?" in _error({}, {}, tmp_path, 'laek = "x"')
    assert "`coinlake config`" in _error({}, {}, tmp_path, "zzzzzz = 1")


def test_a_file_that_is_no_toml_is_refused_in_one_sentence(tmp_path: Path) -> None:
    said = _error({}, {}, tmp_path, "top = = 3")
    assert said.startswith("coinlake.toml cannot be read")
    assert "\n" not in said


def test_an_unknown_variable_is_a_warning_with_the_nearest_name_and_sets_nothing(tmp_path: Path) -> None:
    loaded = load({}, {"COINLAKE_LAEK": "x", "OTHER": "y"}, tmp_path)
    assert loaded.warnings == ("COINLAKE_LAEK is ignored, for it is no setting; did you mean COINLAKE_LAKE?",)
    assert loaded.settings.lake == "data"


@pytest.mark.parametrize(
    ("text", "size"),
    [("1.5GB", 1_500_000_000), ("2 GiB", 2_000_000_000), ("700m", 700_000_000), ("1e9", None), ("9", None)],
)
def test_memory_is_a_size_as_one_says_it(text: str, size: int | None, tmp_path: Path) -> None:
    if size is None:
        assert "a size of 400MB or more, such as 1.5GB" in _error({"memory": text}, {}, tmp_path)
    else:
        assert _load({"memory": text}, {}, tmp_path).settings.memory == size


def test_without_a_setting_half_of_the_memory_there_is_is_used(tmp_path: Path) -> None:
    loaded = load({}, {}, tmp_path)
    assert loaded.settings.memory == memory_there() // 2
    assert loaded.settings.memory <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2


def test_a_secret_is_masked_wherever_settings_are_shown(tmp_path: Path) -> None:
    loaded = load({}, {"COINLAKE_API_KEY": KEY}, tmp_path)
    settings = loaded.settings
    assert settings.api_key.reveal() == KEY
    for shown in (repr(loaded), str(settings), f"{settings.api_key}", str(loaded.rows()), repr(asdict(settings))):
        assert KEY not in shown
    assert (repr(Secret(KEY)), repr(Secret())) == ("••••••", "not set")


def test_the_rows_of_config_name_every_setting_once(tmp_path: Path) -> None:
    rows = load({"now": "2022-02-01T00:45:00+00:00"}, {}, tmp_path).rows()
    assert [row["setting"] for row in rows] == [setting.key for setting in SETTINGS.values()]
    assert all(row["what"].endswith(".") and row["variable"].startswith("COINLAKE_") for row in rows)
    assert next(row for row in rows if row["setting"] == "now")["value"] == "2022-02-01T00:45:00.000000Z"


def test_settings_and_planner_know_the_same_datasets(tmp_path: Path) -> None:
    assert set(plan.Wish(datasets=DATASETS).datasets) == set(DATASETS)
    assert load({}, {}, tmp_path).settings.datasets == plan.DATASETS


@given(name=st.sampled_from(sorted(SETTINGS)), value=st.text(max_size=30))
def test_any_text_is_read_or_refused_by_name_and_never_fails_otherwise(name: str, value: str) -> None:
    try:
        settings = load({name: value}, {}, Path("nowhere")).settings
    except ConfigError as error:
        assert str(error).startswith(SETTINGS[name].key)
    else:
        assert isinstance(settings, Settings)

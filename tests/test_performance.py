"""The page of performance says what the committed results say."""

from __future__ import annotations

import importlib
from pathlib import Path

import performance
import plots


def test_the_page_of_performance_is_what_the_committed_results_say() -> None:
    for path, text in performance.pages(performance.results()).items():
        assert path.read_text() == text, f"{path.name} lags: python benchmarks/performance.py"


def test_where_we_are_slower_the_page_says_so() -> None:
    compared = {
        "part": "query", "data": "3 coins x 1 years: a year of one coin", "rows": 3, "rounds": 1, "checked": "the same",
        "measured": {
            "coinlake": {"wall_s": [3.0], "cpu_s": [3.0], "peak_mib": [50.0]},
            "other": {"wall_s": [1.0], "cpu_s": [1.0], "peak_mib": [100.0]},
        },
        "left_out": {"third": "it would take about 90 GiB; 20 are there"},
    }  # fmt: skip
    about = {"at": "2026-01-01", "machine": "m", "python": "3", "load_before": 0.0, "versions": {"duckdb": "1"}}
    missing = {"part": "query", "data": "9 coins x 9 years: as of a moment", "why": "it would take too much"}
    found = {"about": about, "comparisons": [compared], "not_measured": [missing]}
    page = performance.pages({"bench": found})[performance.PAGE]
    assert "Not measured: 9 coins x 9 years: as of a moment; it would take too much (small, 2026-01-01)." in page
    assert "| Questions: 3 coins x 1 years: a year of one coin | `other` | 3.00 times |  | small, 2026-01-01 |" in page
    assert "| `third` | left out: it would take about 90 GiB; 20 are there |" in page


def test_a_figure_has_every_point_within_it() -> None:
    svg = plots.dots("t", {"g": {"a": (1.0, 0.5, 2.0), "b": (0.002, 0.001, 0.004)}}, "seconds")
    assert svg.count("<circle") == 2
    flat = plots.lines("t", {"a": [(1.0, (1.0, 1.0, 1.0)), (10.0, (2.0, 1.0, 3.0))]}, "years", "seconds")
    assert flat.count('class="c0 line"') == 1 and "nan" not in svg + flat


def test_every_rival_says_who_it_is() -> None:
    for path in (Path(performance.__file__).parent / "rivals").glob("[a-z]*.py"):
        module = importlib.import_module(f"rivals.{path.stem}")
        assert module.__doc__ and callable(module.run)
        assert f"`{path.stem}`" in performance.TEMPLATE.read_text()

"""docs/performance.md and its figures, from the committed results alone: `python benchmarks/performance.py`."""

from __future__ import annotations

import json
import statistics
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import plots
from frame import RESULTS, ratio
from plots import Spread, shown

from coinlake.gold import indicators

ROOT = Path(__file__).parents[1]
TEMPLATE = Path(__file__).with_suffix(".md")
PAGE = ROOT / "docs" / "performance.md"
FILES = ("bench", "bench_large")
Found = Mapping[str, Any]

PROSE = {
    "rebuild": (
        "Gold made anew",
        "From `silver.prices` to the tables that are named, all days of all coins. `duckdb_copy` and `talib_loop` are "
        "not rivals but limits: nobody writes faster, and nobody computes faster on one core.",
    ),
    "update": (
        "A day costs a day",
        "A finished day of every coin, or a corrected price of one coin in the middle of its history, lies in silver; "
        "gold.daily and gold.indicators are brought up to date. The length of the history behind it is what differs. "
        "The scripts have no other way than to make everything anew.",
    ),
    "clean": (
        "Cleaning, and runs without the network",
        "Bronze to rows and rejects: each answer parsed with given types, each value's JSON type asked, each row "
        "checked and placed by line, nothing written. DuckDB's `read_json` reads and unnests the same bodies and looks "
        "at nothing: the limit of the parser. A run is cleaning and all tables of gold, committed.",
    ),
    "query": (
        "Questions",
        "A year of one coin from gold.daily and gold.indicators, by `coinlake query` and by DuckDB alone over the "
        "files that it copied. And what was known at a moment: coinlake computes all of gold.daily from the "
        "observations that had been fetched by then, where the polars script, made for this question, reads one coin.",
    ),
    "start": (
        "The command line",
        "Whole processes, from before they start until they have ended.",
    ),
}


def results(folder: Path = RESULTS) -> dict[str, Found]:
    """The files that there are."""
    return {
        name: json.loads((folder / f"{name}.json").read_text()) for name in FILES if (folder / f"{name}.json").exists()
    }


def pages(found: Mapping[str, Found]) -> dict[Path, str]:
    """The page and its figures, by where they lie."""
    figures = dict(_figures(found))
    text = TEMPLATE.read_text()
    sections = [_section(part, found, figures) for part in PROSE]
    sections += [_runs(found, figures), _sizes(found), _stages(found)]

    for name, made in {
        "machines": "\n".join(_machine(name, each) for name, each in found.items()),
        "columns": str(len(indicators.TABLE.columns)),
        "sections": "\n\n".join(filter(None, sections)),
        "slower": _slower(found),
    }.items():
        text = text.replace(f"{{{name}}}", made)
    images = {PAGE.parent / "images" / f"performance-{name}.svg": drawn for name, (drawn, _) in figures.items()}
    return {PAGE: text.rstrip() + "\n", **images}


def _machine(name: str, found: Found) -> str:
    about = found["about"]
    versions = ", ".join(f"{each} {number}" for each, number in about["versions"].items())
    memory = f" `COINLAKE_MEMORY={about['memory']}`." if about.get("memory") else ""
    return _lines(
        f"- **{_label(name, found)}** (`{name}.json`): {about['machine']}, Python {about['python']}; {versions}. "
        f"Load before it began: {about['load_before']}.{memory}"
    )


def _lines(text: str) -> str:
    return textwrap.fill(text, 120, subsequent_indent="  " if text.startswith("- ") else "", break_on_hyphens=False)


def _label(name: str, found: Found) -> str:
    return f"{'large' if 'large' in name else 'small'}, {found['about']['at']}"


def _compared(found: Mapping[str, Found], part: str) -> Iterator[tuple[str, Found]]:
    """Label and comparison, of one part."""
    for name, each in found.items():
        for compared in each.get("comparisons", []):
            if compared["part"] == part:
                yield _label(name, each), compared


def spread(values: Sequence[float]) -> Spread:
    """Median, least, most."""
    return statistics.median(values), min(values), max(values)


# Sections ------------------------------------------------------------------------------------------------------------


def _section(part: str, found: Mapping[str, Found], figures: Mapping[str, tuple[str, str]]) -> str:
    made = [_table(label, each) for label, each in _compared(found, part)]
    if not made:
        return ""
    title, prose = PROSE[part]
    missing = [
        _lines(f"Not measured: {each['data']}; {each['why']} ({_label(name, file)}).")
        for name, file in found.items()
        for each in file.get("not_measured", [])
        if each["part"] == part
    ]
    return "\n\n".join([f"## {title}", _lines(prose), *_figure(part, figures), *made, *missing])


def _figure(name: str, figures: Mapping[str, tuple[str, str]]) -> list[str]:
    return (
        [f'<img src="images/performance-{name}.svg" alt="{figures[name][1]}" width="100%">'] if name in figures else []
    )


def _table(label: str, compared: Found) -> str:
    measured = compared["measured"]
    rows = [_row(measured, name) for name in measured]
    rows += [f"| `{name}` | left out: {why} | | | | | |" for name, why in compared["left_out"].items()]
    more = f", {compared['rows']:,} rows" if compared["rows"] and compared["part"] != "clean" else ""
    lines = [
        f"### {compared['data']}",
        "",
        "| | wall | ours / its | CPU | ours / its | peak memory | ours / its |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        _lines(f"{compared['rounds']} rounds{more}; {label}. Compared: {compared['checked']}."),
    ]
    if "megabytes" in compared:
        wall = statistics.median(measured["coinlake"]["wall_s"])
        an_answer, a_megabyte = shown(wall / compared["answers"]), shown(wall / compared["megabytes"])
        lines += ["", f"That is {an_answer} an answer and {a_megabyte} a megabyte."]
    return "\n".join(lines)


def _row(measured: Found, name: str) -> str:
    cells = []
    for what in ("wall_s", "cpu_s", "peak_mib"):
        median = statistics.median(measured[name][what])
        cells.append(f"{median:,.0f} MiB" if what == "peak_mib" else shown(median))
        is_ours = name == next(iter(measured))
        cells.append("" if is_ours else _ratio(*ratio(measured, name, what)))
    return f"| `{name}` | {' | '.join(cells)} |"


def _ratio(median: float, least: float, most: float) -> str:
    return f"**{_short(median)}** ({_short(least)} to {_short(most)})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _runs(found: Mapping[str, Found], figures: Mapping[str, tuple[str, str]]) -> str:
    made = ["## Day after day", *_figure("daily-runs", figures)]
    for name, each in found.items():
        if "daily_runs" not in each:
            continue
        runs = each["daily_runs"]
        gold, tail = runs["gold_s"], max(len(runs["gold_s"]) // 6, 1)
        first, last = (shown(statistics.median(part)) for part in (gold[:tail], gold[-tail:]))
        compacted = f"; compacting after every 30 took {_from_to(runs['compacting_s'])}" if runs["compacting_s"] else ""
        told = (
            f"{runs['days']} days of {runs['data']}, one after the other in one process: gold.daily, gold.indicators, "
            f"gold.signals and gold.market took {_from_to(gold)} a day, a median of {first} over the first {tail} and "
            f"of {last} over the last {tail}; the day's silver {_from_to(runs['silver_s'])}{compacted}. Peak memory "
            f"{runs['peak_mib']:,.0f} MiB. Compared with gold made at once: {runs['checked']} ({_label(name, each)})."
        )
        made.append(_lines(f"{told} {_kept(runs)}".rstrip()))
    return "\n\n".join(made) if len(made) > 1 else ""


def _kept(runs: Found) -> str:
    """How many files there were from time to time, and what could still be asked."""
    if not runs.get("files"):
        return ""
    counted = "; ".join(
        f"`{table}` {min(each)} to {max(each)}"
        for table, each in ((table, [files[table] for files in runs["files"]]) for table in runs["files"][0])
    )
    known = runs["known"]
    return (
        f"Data files after each compaction: {counted}. Asked as of the ends of {len(known['days'])} of the days, the "
        f"first and the last among them, each was the newest of gold.daily ({_from_to(known['seconds'])} an answer)."
    )


def _from_to(values: Sequence[float]) -> str:
    return f"{shown(min(values))} to {shown(max(values))}" if values else "nothing"


def _sizes(found: Mapping[str, Found]) -> str:
    rows = []
    for name, each in found.items():
        for size in each.get("sizes", []):
            for table, held in size["tables"].items():
                short = table.removeprefix("gold.")
                rivals = [size["rivals"].get(rival, {}).get(short) for rival in _WRITERS]
                cells = [_megabytes(number) if number else "" for number in rivals]
                a_row = f"{held['bytes'] / max(held['rows'], 1):.0f}"
                rows.append(
                    f"| {size['data']}, `{table}` | {held['rows']:,} | {held['files']} | {_megabytes(held['bytes'])} "
                    f"| {a_row} | {' | '.join(cells)} | {_label(name, each)} |"
                )
    if not rows:
        return ""
    writers = " | ".join(f"`{each}`" for each in _WRITERS)
    return "\n".join([
        "## Size on disk",
        "",
        _lines(
            "Of the newest version. `duckdb_copy` holds the same columns, compressed as ours; the scripts hold fewer, "
            "compressed as pandas and polars do by themselves."
        ),
        "",
        f"| | rows | files | ours | bytes a row | {writers} | |",
        f"| --- |{' ---: |' * (4 + len(_WRITERS))} --- |",
        *rows,
    ])  # fmt: skip


_WRITERS = ("duckdb_copy", "pandas_script", "polars_script")


def _megabytes(number: float) -> str:
    return f"{number / 1e6:,.1f} MB"


def _stages(found: Mapping[str, Found]) -> str:
    rows = [
        f"| {stage['data']}, `{table}` | {' | '.join(shown(each[what]) for what in _STAGES)} | {_label(name, file)} |"
        for name, file in found.items()
        for stage in file.get("stages", [])
        for table, each in stage["seconds"].items()
    ]
    if not rows:
        return ""
    return "\n".join([
        "## Where the time of a rebuild goes",
        "",
        _lines(
            "Made: what is read, and the rows computed. Checked: brought into order and held against the table's "
            "promises. Written: encoded and committed. In one process, once, without a spread."
        ),
        "",
        "| | made | checked | written | |",
        "| --- | ---: | ---: | ---: | --- |",
        *rows,
    ])  # fmt: skip


_STAGES = ("made", "checked", "written")


def _slower(found: Mapping[str, Found]) -> str:
    """Every comparison in which a rival is faster, or smaller."""
    rows = []
    for part, (title, _) in PROSE.items():
        for label, compared in _compared(found, part):
            for rival in list(compared["measured"])[1:]:
                wall, peak = (ratio(compared["measured"], rival, what)[0] for what in ("wall_s", "peak_mib"))
                if wall > 1 or peak > 1:
                    told = [_times(wall, "longer"), _times(peak, "more memory")]
                    rows.append((wall, f"| {title}: {compared['data']} | `{rival}` | {' | '.join(told)} | {label} |"))
    if not rows:
        return ""
    return "\n".join([
        "## Where we are slower, or larger",
        "",
        "All of it, the longest first: how many times as long coinlake takes, and how many times as much memory.",
        "",
        "| | than | time | memory | |",
        "| --- | --- | ---: | ---: | --- |",
        *(row for _, row in sorted(rows, reverse=True)),
    ])  # fmt: skip


def _times(value: float, what: str) -> str:
    return f"{_short(value)} times" if value > 1 else ""


# Figures -------------------------------------------------------------------------------------------------------------


def _figures(found: Mapping[str, Found]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Name, SVG and what it shows."""
    rebuilt = {
        f"{each['data']} ({label})": {name: spread(its["wall_s"]) for name, its in each["measured"].items()}
        for label, each in _compared(found, "rebuild")
    }
    if rebuilt:
        title = "Gold made anew: seconds, median with least and most"
        yield "rebuild", (plots.dots(title, rebuilt, "seconds, logarithmic"), title)
    days: dict[str, list[plots.Point]] = {}
    for label, each in _compared({name: file for name, file in found.items() if name == FILES[0]}, "update"):
        size, what = each["data"].split(": ")
        coins, years = size.split(" coins x ")
        if what == "one more day":
            title = f"One more day of {coins} coins: seconds, by the years behind it ({label})"
            for name, its in each["measured"].items():
                days.setdefault(name, []).append((float(years.split()[0]), spread(its["wall_s"])))
    if days:
        yield "update", (plots.lines(title, days, "years behind it", "seconds"), title)
    runs = {
        f"{each['daily_runs']['data']} ({_label(name, each)})": [
            (float(day), (seconds, seconds, seconds)) for day, seconds in enumerate(each["daily_runs"]["gold_s"], 1)
        ]
        for name, each in found.items()
        if "daily_runs" in each
    }
    if runs:
        title = "Day after day: seconds that four tables of gold take each day"
        yield "daily-runs", (plots.lines(title, runs, "days", "seconds"), title)


def main() -> None:
    """Write the page and its figures."""
    for path, text in pages(results()).items():
        path.write_text(text)


if __name__ == "__main__":
    main()

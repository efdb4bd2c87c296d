"""What a person or a machine sees: results on stdout, progress and logs on stderr. Nothing in here decides anything.

On a terminal progress is a picture; elsewhere it is a line of JSON now and then (`severity`, `message`, `time`, `run`
and fields), as log collectors read them.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, TextIO

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.table import Table as Grid
from rich.text import Text

from coinlake.plain import log_line, sentence, to_json
from coinlake.progress import WAIT, Progress

Mode = Literal["picture", "json", "text"]

_EVERY_S = 10.0
"""Between two log lines of one step that goes on."""

_WIDE = 400
"""Columns to write to where there is no terminal: nothing is cut or wrapped that a terminal would not."""


def mode_of(log: str, is_terminal: bool) -> Mode:
    """How to write to stderr, from the `log` setting and whether stderr is a terminal."""
    if log == "json" or (log == "auto" and not is_terminal):
        return "json"
    return "picture" if is_terminal else "text"


# Progress ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Step:
    """One step under way: when it began, where it stood then and now; `rate` is the most pieces in any 60 s, or 0."""

    now: Progress
    began: float
    from_done: int
    rate: int = 0
    said: float = -math.inf
    said_wait: float = -math.inf

    def is_due(self, at: float, waits: bool) -> bool:
        """Whether a log line is due at that monotonic second; the first wait in a while is told at once."""
        if waits and at - self.said_wait >= _EVERY_S:
            self.said_wait = at
            return True
        return self.now.done == self.now.total or at - self.said >= _EVERY_S

    def seconds_left(self, at: float) -> float | None:
        """Seconds until the step is done, `at` that monotonic second; None while nobody can know.

        The first calls of a paced step go out at once and the next wait for a minute to pass, so what was seen until
        now promises too much: the pace sets the least it takes.
        """
        if self.now.total is None:
            return None
        left = self.now.total - self.now.done
        if left <= 0:
            return 0.0
        done, elapsed = self.now.done - self.from_done, at - self.began
        seen = elapsed / done * left if done > 0 else None
        if not self.rate:
            return seen
        paced = (done + left - 1) // self.rate * 60 - elapsed
        return max(seen or 0.0, paced, 0.0)


def duration(seconds: float | None) -> str:
    """Seconds as a person says them: `40 s`, `3 min 20 s`, `1 h 5 min`."""
    if seconds is None:
        return ""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class _Left(ProgressColumn):
    """The time that a step will still take; it counts down while the step waits."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__()
        self._monotonic = monotonic

    def render(self, task: Task) -> Text:
        left = task.fields["began"].seconds_left(self._monotonic())
        return Text(f"{duration(left)} left" if left else "", style="cyan")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the door, which ends the program: Rich would."""
        raise BrokenPipeError


class Screen:
    """Two streams and how to write to them; a context manager that puts the terminal back in order.

    `paces` gives the most pieces in any 60 s of the steps that have such a limit. `now` stamps log lines; it is the
    machine's clock even in a replay, as log collectors expect.
    """

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        mode: Mode = "text",
        quiet: bool = False,
    ) -> None:
        self.out, self.err, self.mode, self.quiet = out, err, mode, quiet
        self.run = ""
        self.paces: Mapping[str, int] = {}
        self._now, self._monotonic = now, monotonic
        self._step: Step | None = None
        self._bars: Bars | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the picture away; what is written next begins on a clean line."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._task = self._step = None

    def report(self, progress: Progress) -> None:
        """Show progress: the door's end of what the pipeline is handed."""
        self.run = progress.run or self.run
        if self.quiet:
            return
        at = self._monotonic()
        step = self._step
        waits = progress.step == WAIT and step is not None
        if step is None or not (waits or step.now.step == progress.step):
            step = Step(progress, at, progress.done, self.paces.get(progress.step, 0))
        is_new, self._step = step is not self._step, step
        step.now = dataclasses.replace(step.now, note=progress.note) if waits else progress
        if self.mode == "picture":
            self._draw(step, is_new)
        elif is_new or step.is_due(at, waits):
            self._say_progress(step, at)

    def _say_progress(self, step: Step, at: float) -> None:
        step.said = at
        left = step.seconds_left(at)
        seconds = {} if not left else {"seconds_left": round(left)}
        if self.mode == "json":
            now = step.now
            self.log("INFO", sentence(now), step=now.step, done=now.done, total=now.total, note=now.note, **seconds)
        else:
            self._line(sentence(step.now) + (f", {duration(left)} left" if left else ""))

    def _draw(self, step: Step, is_new: bool) -> None:
        if self._bars is None:
            self._bars = Bars(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[count]}"),
                _Left(self._monotonic),
                TextColumn("{task.fields[note]}", style="dim", table_column=Column(no_wrap=True, ratio=1)),
                console=Console(file=self.err),
                transient=True,
                expand=True,
            )
            self._bars.start()
        now = step.now
        count = f"{now.done:,}" if now.total is None else f"{now.done:,} of {now.total:,}"
        shown: dict[str, Any] = {
            "total": now.total,
            "completed": now.done,
            "note": now.note,
            "count": count,
            "began": step,
        }
        if self._task is None or is_new:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._task = self._bars.add_task(now.step, **shown)
        else:
            self._bars.update(self._task, **shown)

    # Words ---------------------------------------------------------------------------------------------------------

    def log(self, severity: str, message: str, **fields: Any) -> None:
        """One line of JSON on stderr, whatever the mode."""
        run = {"run": self.run} if self.run else {}
        self._line(log_line(severity, message, self._now(), {**run, **fields}))

    def say(self, message: str, **fields: Any) -> None:
        """Something that happened and that no result holds."""
        if not self.quiet:
            self._word("INFO", message, fields)

    def warn(self, message: str) -> None:
        """Something that somebody should look at; `--quiet` does not silence it."""
        self._word("WARNING", message, {})

    def fail(self, message: str, exit_code: int) -> None:
        """The one sentence that a run which stopped leaves behind."""
        self.close()
        self._word("ERROR", message, {"exit_code": exit_code})

    def _word(self, severity: str, message: str, fields: Mapping[str, Any]) -> None:
        if self.mode == "json":
            self.log(severity, message, **fields)
            return
        lead = {"INFO": "", "WARNING": "warning: ", "ERROR": "coinlake: "}[severity]
        if self._bars is not None:
            self._bars.console.print(Text(f"{lead}{message}"))
        else:
            self._line(f"{lead}{message}")

    def _line(self, text: str) -> None:
        self.err.write(text + "\n")
        self.err.flush()

    # Results -------------------------------------------------------------------------------------------------------

    def show(self, view: RenderableType) -> None:
        """A result for a person, on stdout."""
        self.close()
        if self.out.isatty():
            _Console(file=self.out, highlight=False).print(view)
        else:
            self.out.write(plain(view))

    def show_json(self, value: Any) -> None:
        """A result for a machine: one JSON value on stdout and nothing else, at once, for some commands run on."""
        self.close()
        self.out.write(json.dumps(to_json(value), ensure_ascii=False) + "\n")
        self.out.flush()


def plain(view: RenderableType) -> str:
    """A view as bare text: no colours, no spaces at the ends of lines."""
    out = io.StringIO()
    Console(file=out, width=_WIDE, highlight=False, color_system=None, force_terminal=False).print(view)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


# Values ------------------------------------------------------------------------------------------------------------


def text(value: Any) -> str:
    """A value in a cell of a table: nothing for null, numbers in full."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return repr(value)
    plain = to_json(value)
    return json.dumps(plain, ensure_ascii=False) if isinstance(plain, list | dict) else str(plain)


def write_json(out: TextIO, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Rows as one JSON array of objects, one a line."""
    lead = "["
    for row in rows:
        line = dict(zip(names, map(to_json, row), strict=True))
        out.write(f"{lead}\n{json.dumps(line, ensure_ascii=False)}")
        lead = ","
    out.write("[]\n" if lead == "[" else "\n]\n")


def write_csv(out: TextIO, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Rows as CSV with a header; null is empty, floats are in full, moments are ISO."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else text(value)


# Views -------------------------------------------------------------------------------------------------------------


def grid(rows: Sequence[Mapping[str, Any]], title: str = "", names: Sequence[str] | None = None) -> RenderableType:
    """Rows as a table; numbers to the right, every cell whole."""
    columns = list(names if names is not None else dict.fromkeys(name for row in rows for name in row))
    made = Grid(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        is_number = rows and all(isinstance(row.get(name), int | float | None) for row in rows)
        made.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(text(row.get(name))) for name in columns))
    return made


def facts(pairs: Mapping[str, Any], title: str = "") -> RenderableType:
    """Names and values, one below the other; what is empty is left out."""
    made = Grid(title=title or None, title_justify="left", box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        if value not in (None, "", [], {}, ()):
            made.add_row(Text(name.replace("_", " ")), Text(_listed(value)))
    return made


def _listed(value: Any) -> str:
    """A small mapping or list as a person reads it; integers with thousands apart."""
    if value is None:
        return "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_listed(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return "\n".join(_listed(each) for each in value)
    return text(value)


def anything(value: Any, title: str = "") -> RenderableType:
    """A nested result: single values first, then a table for each list of rows."""
    told = to_json(value)
    if isinstance(told, list) and told and all(isinstance(each, dict) for each in told):
        return grid(told, title)
    if not isinstance(told, dict):
        return facts({title or "result": told})
    if not any(told.values()):
        return Text("Nothing to tell.")
    singles = {name: each for name, each in told.items() if not _is_nested(each)}
    nested = {name: each for name, each in told.items() if _is_nested(each)}
    return _apart(
        *([facts(singles, title)] if singles else []),
        *(anything(each, name.replace("_", " ")) for name, each in nested.items()),
    )


def _apart(*views: RenderableType) -> RenderableType:
    """Views below each other, with an empty line between two."""
    return Group(*[part for view in views for part in (Text(), view)][1:])


def _is_nested(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(each, dict) for each in value)
    return isinstance(value, dict) and any(isinstance(each, dict | list) for each in value.values())


def run_view(report: Mapping[str, Any]) -> RenderableType:
    """What a run did, short: how it ended, what it asked for, what it wrote, what somebody should know."""
    waited = f", {duration(report['waited_s'])} of them waiting" if report["waited_s"] >= 1 else ""
    asked = f"{report['calls']:,} calls, {report['retries']:,} retries, {report['credits']:,} credits"
    return facts(
        {
            "run": report["run"],
            "ended": f"{report['outcome']} after {duration(report['lasted_s'])}{waited}",
            "asked": asked if report["calls"] else "",
            "bronze": f"{len(report['objects']):,} objects, {report['answers']:,} answers" if report["objects"] else "",
            "rows": [f"{name} {count:,}" for name, count in report["rows"].items() if count] or "nothing new",
            "rejects": report["rejects"],
            "missing": ", ".join(report["missing"]),
            "refused": [_refused(each) for each in report["refused"]],
            "unavailable": [_row(each) for each in report["unavailable"]],
            "notes": report["notes"],
            "exports": report["exports"],
        }
    )


def _refused(call: Mapping[str, Any]) -> str:
    """A call about a coin that the service does not know, in words."""
    what = call["endpoint"].removeprefix("coins_")
    return f"{call['coin_id']} ({what}): answered 404, not asked for again before {call['asked_again_at']}"


def import_view(report: Mapping[str, Any]) -> RenderableType:
    """How each file was understood, what it gave and what of it was refused; then what the run did."""
    views = [view for file in report["files"] for view in _imported(file, report["dry_run"])]
    return _apart(*views, *([run_view(report["run"])] if report["run"] else []))


def _imported(file: Mapping[str, Any], is_dry: bool) -> list[RenderableType]:
    each = "a UTC day" if file["time_is"] == "day" else f"when a candle {file['time_is']}"
    coins = ", ".join(file["coins"]) if len(file["coins"]) <= 10 else f"{len(file['coins']):,} coins"
    lies = "nothing was written" if is_dry else f"in {file['bronze_object']}"
    if file["imported_before"]:
        lies = f"nothing to do: in {file['bronze_object']} since {file['imported_before']}"
    view = facts(
        {
            "columns": ", ".join(f"{what} from {column}" for what, column in file["columns"].items()),
            "left out": ", ".join(file["left_out"]),
            "dates": f"like {file['dates']}; each is {each}",
            "coins": coins + (f" (by {file['coin_from']})" if file["coin_from"] else ""),
            "rows": f"{file['rows']:,} of {file['lines']:,} lines, candles of {', '.join(file['spans'])}",
            "closes": f"{file['first_closed_at']} to {file['last_closed_at']}",
            "gaps": _gaps(file["gaps"]),
            "refused": f"lines: {file['refused_lines']:,}; {text(_listed(file['rejects']))}" if file["rejects"] else "",
            "bronze": lies,
        },
        file["file"],
    )
    more = sum(file["rejects"].values()) - len(file["shown"])
    title = f"Refused (and {more:,} more)" if more else "Refused"
    return [view, *([grid(file["shown"], title)] if file["shown"] else [])]


def _gaps(count: int) -> str:
    if not count:
        return ""
    return f"{count:,} candles between them are not there" if count > 1 else "1 candle between them is not there"


def _row(value: Any) -> str:
    """A small row in one line."""
    return " ".join(map(text, value.values())) if isinstance(value, Mapping) else text(value)


def plan_view(plan: Mapping[str, Any]) -> RenderableType:
    """What would be fetched: each call with its reason and its credits, and what cannot be had."""
    calls = [
        {
            "n": number,
            "credits": call["credits"],
            "why": call["why"],
            "call": call["path"] + _query(call["params"]),
        }
        for number, call in enumerate(plan["calls"], 1)
    ]
    views: list[RenderableType] = [grid(calls)] if calls else []
    for name in ("expected", "unavailable", "notes"):
        if plan.get(name):
            lines = [_row(each) for each in plan[name]]
            views.append(Text(f"{name}:\n  " + "\n  ".join(lines)))
    total = f"{len(calls):,} calls, {plan['credits']:,} credits" if calls else "Nothing to fetch"
    more = f"; at most {plan['credits_expected']:,} with what is expected" if plan.get("expected") else ""
    return _apart(*views, Text(f"{total}{more}.", style="bold"))


def _query(params: Mapping[str, str]) -> str:
    """The query of a call, cut where 250 coins would fill the page."""
    whole = "?" + "&".join(f"{name}={value}" for name, value in params.items()) if params else ""
    return whole if len(whole) <= 240 else f"{whole[:200]}… ({len(whole):,} characters)"


def cost_view(bill: Mapping[str, Any]) -> RenderableType:
    """A month's bill, item by item, and what it is made of."""
    shown = {"item": "item", "a_month": "a month", "unit": "unit", "free": "free", "usd": "USD", "by": "by"}
    items = [{title: item[name] for name, title in shown.items()} for item in bill["items"]]
    sums = {
        "USD a month": bill["usd_a_month"],
        "from": f"{bill['runs']} runs in {bill['days']} days, {bill['runs_without_count']} of them without a count",
        "where": bill["where"],
    }
    return _apart(grid(items), facts(sums))


def table_view(table: Mapping[str, Any]) -> RenderableType:
    """A table's promise: grain, key, and every column with type, unit, what it may be, and prose."""
    columns = [
        {
            "column": name,
            "type": each["type"],
            "unit": each["unit"],
            "null": "never" if each["required"] else "",
            "may be": _allowed(each),
            "what": each["prose"],
        }
        for name, each in table["columns"].items()
    ]
    head = {"grain": table["grain"], "key": ", ".join(table["key"]), "reads": ", ".join(table.get("reads") or ())}
    return _apart(facts({"table": table["name"], **head}), grid(columns))


def _allowed(column: Mapping[str, Any]) -> str:
    if column.get("one_of"):
        return ", ".join(column["one_of"])
    low, high = column.get("between") or (None, None)
    if low is None or high is None:
        return f"from {low}" if low is not None else f"up to {high}" if high is not None else ""
    return f"{low} to {high}"


def first(rows: Iterator[Sequence[Any]], n: int) -> tuple[list[Sequence[Any]], bool]:
    """The first n rows, and whether there are more."""
    taken: list[Sequence[Any]] = []
    for row in rows:
        if len(taken) == n:
            return taken, True
        taken.append(row)
    return taken, False

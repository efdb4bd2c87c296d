"""The command line: what a person asks for, in Typer. Work is done elsewhere; here it is asked, shown, and ended.

The environment, the working folder, the clock and the streams are touched here and handed inwards. What is heavy
(DuckDB, Delta, HTTP) is imported by the command that needs it, so that `--help` is there at once.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coinlake.answer import to_asked
from coinlake.errors import CoinlakeError, ConfigError, LakeError, brief, was_interrupted
from coinlake.settings import SETTINGS, Loaded, Settings, demand_key, load, shown

if TYPE_CHECKING:
    import duckdb

    from coinlake.screen import Screen
    from coinlake.wiring import Workspace

# An empty line between two: older Typers join what is not apart.
EXIT_CODES = """\
**Exit codes** (a run that is begun again goes on where the last one ended)

- 0: it is done

- 1: something unexpected happened; `--debug` shows where

- 2: the command line is wrong

- 3: a setting, a file or a question is wrong

- 4: the service did not answer as it should; wait, and run again

- 5: plan or budget do not allow it

- 6: rows break what their table promises; nothing was written

- 7: the lake needs mending; `coinlake doctor` says how

- 130: stopped by Ctrl-C; the lake is whole

- 141: whoever read the output had enough
"""

_ENDS = "Exit codes: `coinlake --help` lists them."

INTERRUPTED = "stopped; the lake is whole, and the next run goes on from here"

# Flags that every command takes, before its name and after it.
_GLOBAL: Mapping[str, Any] = {
    "lake": Annotated[str | None, typer.Option("--lake", metavar="ROOT", help=SETTINGS["lake"].prose)],
    "as_json": Annotated[bool, typer.Option("--json", help="One JSON object on stdout, for machines.")],
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no closing table.")],
    "debug": Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")],
    "version": Annotated[bool, typer.Option("--version", help="Print the version and end.")],
}

# Which settings a command takes as flags.
_PLACES = ("bronze", "silver", "gold", "now", "log")
_FETCHING = (
    "top", "coins", "days", "datasets", "granularity", "plan", "rate", "api_url", "monthly_credits", "daily_credits",
)  # fmt: skip
_WORKING = ("engine", "spark_master", "memory", "source_order", "fee_bp", "slippage_bp")
_ALL = tuple(name for name, setting in SETTINGS.items() if not setting.secret and name != "lake")

app = typer.Typer(
    name="coinlake",
    help="A lakehouse for coin markets: bronze keeps what CoinGecko said, silver trusts it, gold concludes.",
    epilog=EXIT_CODES,
    no_args_is_help=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@dataclass(frozen=True)
class Asked:
    """What the flags that every command takes say."""

    as_json: bool = False
    quiet: bool = False
    debug: bool = False
    version: bool = False
    flags: Mapping[str, Any] | None = None

    def also(self, given: dict[str, Any], settings: Sequence[str]) -> Asked:
        """This and what was given after the command's name; takes what it knows out of `given`."""
        mine = {name: given.pop(name) for name in ("lake", *settings)}
        switches = {name: given.pop(name) or getattr(self, name) for name in _GLOBAL if name != "lake"}
        flags = {**(self.flags or {}), **{name: value for name, value in mine.items() if value is not None}}
        return replace(self, flags=flags, **switches)


@dataclass(frozen=True)
class Door:
    """What a command has in hand: its settings, the screen, and whether a machine listens."""

    loaded: Loaded
    screen: Screen
    as_json: bool
    quiet: bool

    @property
    def settings(self) -> Settings:
        """The settings, settled."""
        return self.loaded.settings

    def workspace(self) -> Workspace:
        """The parts of the program, put together by the settings."""
        from coinlake.wiring import workspace

        return workspace(self.settings, self.screen.report)

    def answer(self, value: Any, view: Callable[[Any], Any]) -> None:
        """A result on stdout: JSON for a machine, else a view of it for a person."""
        from coinlake.plain import to_json

        plain = to_json(value)
        if self.as_json:
            self.screen.show_json(plain)
        else:
            self.screen.show(view(plain))


# How a command is run ----------------------------------------------------------------------------------------------


def _command(
    name: str, settings: Sequence[str] = _PLACES, job: bool = False, frames: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make `body(door, …)` a command that also takes the global flags and those of `settings`.

    A `job` writes logs as the `log` setting says; what only asks a question speaks plain words. With `frames` it has
    use for pandas.
    """

    def wrap(body: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(body)
        def call(ctx: typer.Context, **given: Any) -> None:
            asked = (ctx.obj or Asked()).also(given, settings)
            if asked.version:
                _print_version()
            with _opened(asked, job, frames) as door:
                body(door, **given)

        own = list(inspect.signature(body, eval_str=True).parameters.values())[1:]
        extra = [_parameter(name, annotation) for name, annotation in _GLOBAL.items()]
        extra += [_parameter(name, _option(name)) for name in settings]
        context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        _declare(call, [context, *own, *extra])
        app.command(name, epilog=_ENDS)(call)
        return call

    return wrap


def _declare(call: Callable[..., None], parameters: Sequence[inspect.Parameter]) -> None:
    """Say which parameters a function takes, for Typer, which asks its signature and its annotations."""
    call.__signature__ = inspect.Signature(list(parameters))  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in parameters}


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    default = False if annotation.__origin__ is bool else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _option(name: str) -> Any:
    setting = SETTINGS[name]
    default = "" if setting.follows else shown(setting.default({})).replace(",", ", ")
    option = typer.Option(
        setting.flag,
        metavar=_metavar(setting.should_be),
        help=setting.prose + (f" \\[default: {default}]" if default else ""),
        rich_help_panel="Settings",
    )
    return Annotated[str | None, option]


_METAVARS = {
    "whole number": "N",
    "number from": "X",
    "size": "SIZE",
    "master": "MASTER",
    "commas": "A,B",
    "moment": "MOMENT",
    "address": "URL",
}


def _metavar(should_be: str) -> str:
    """What stands for a value in the help, from the words for what it should be."""
    if should_be.startswith("one of "):
        choices = should_be.removeprefix("one of ").replace(", ", "|")
        return choices if len(choices) < 20 else "NAME"
    for words, metavar in _METAVARS.items():
        if words in should_be:
            return metavar
    return "ROOT"


def _begin(ctx: typer.Context, **given: Any) -> None:
    asked = Asked().also(given, ())
    if asked.version:
        _print_version()
    ctx.obj = asked
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


_declare(
    _begin,
    [
        inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *(_parameter(name, annotation) for name, annotation in _GLOBAL.items()),
    ],
)
app.callback(invoke_without_command=True)(_begin)


def _print_version() -> None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        typer.echo(f"coinlake {version('coinlake')}")
    except PackageNotFoundError:
        typer.echo("coinlake, run from its source")
    raise typer.Exit


@contextmanager
def _opened(asked: Asked, job: bool, frames: bool = False) -> Iterator[Door]:
    """Settle the settings, open the screen, and end the program as it should end, whatever happens inside."""
    from coinlake.screen import Screen, mode_of

    screen = Screen(sys.stdout, sys.stderr, lambda: datetime.now(UTC), time.monotonic, quiet=asked.quiet)
    with _ends(asked, screen), screen:
        loaded = load(asked.flags or {}, os.environ, Path.cwd())
        if job:
            screen.mode = mode_of(loaded.settings.log, sys.stderr.isatty())
            screen.paces = {"ingest": loaded.settings.rate}
        for warning in loaded.warnings:
            screen.warn(warning)
        with _spared(("polars",) if frames or loaded.settings.engine == "pandas" else ("pandas", "polars")):
            yield Door(loaded, screen, asked.as_json, asked.quiet)
        sys.stdout.flush()


@contextmanager
def _spared(modules: Sequence[str]) -> Iterator[None]:
    """Modules that a command has no use for cannot be imported while it lasts, unless they have been.

    Where they are installed DuckDB imports pandas (1.4 s) to see whether a Python value is one of its own, and TA-Lib
    both of them.
    """
    mine = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(mine))  # type: ignore[arg-type] # None, as Python's own documentation has it
    try:
        yield
    finally:
        for name in mine:
            del sys.modules[name]


@contextmanager
def _ends(asked: Asked, screen: Screen) -> Iterator[None]:
    """Turn what was raised into a sentence and an exit code."""
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except CoinlakeError as error:
        raise _stopped(asked, screen, error, str(error), error.exit_code) from error
    except BrokenPipeError as error:
        # Whoever read stdout has enough. What is still buffered must not fail at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(141) from error
    except (KeyboardInterrupt, Exception) as error:
        if was_interrupted(error):
            raise _stopped(asked, screen, error, INTERRUPTED, 130) from error
        hint = "" if asked.debug else "; run again with --debug to see where"
        raise _stopped(asked, screen, error, _unexpected(error) + hint, 1) from error


def _stopped(asked: Asked, screen: Screen, error: BaseException, message: str, code: int) -> typer.Exit:
    """Say why it ended, after what a run had done until then; a machine hears both on stdout."""
    from coinlake.plain import to_json
    from coinlake.screen import run_view

    report = to_json(getattr(error, "report", None))
    if asked.as_json:
        told = {"kind": type(error).__name__, "message": message, "exit_code": code}
        screen.show_json({**(report or {}), "error": told})
    elif report and not asked.quiet:
        screen.show(run_view(report))
    screen.close()
    if asked.debug:
        traceback.print_exception(error, file=sys.stderr)
    screen.fail(message, code)
    return typer.Exit(code)


def _unexpected(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    return f"something unexpected happened ({type(error).__name__}{': ' + said[0] if said else ''})"


# Commands that do the work -----------------------------------------------------------------------------------------


def _finish(door: Door, report: Any) -> None:
    """The end of a run: its report for a machine, a short table for a person, one line for a log."""
    from coinlake.plain import to_json
    from coinlake.screen import run_view

    plain = to_json(report)
    if door.as_json:
        door.screen.show_json(plain)
    elif not door.quiet:
        door.screen.show(run_view(plain))
    if door.screen.mode == "json" and not door.quiet:
        door.screen.run = plain.get("run") or ""
        door.screen.log(
            "INFO", f"ended: {plain.get('outcome', 'ok')}", **{k: v for k, v in plain.items() if k != "run"}
        )


@_command("run", (*_FETCHING, *_WORKING, "keep_hours", *_PLACES), job=True)
def run(door: Door) -> None:
    """Fetch what is new, clean it, and conclude: the whole way from CoinGecko to gold."""
    demand_key(door.settings)
    _finish(door, door.workspace().run())


@_command("ingest", (*_FETCHING, *_WORKING, *_PLACES), job=True)
def ingest(
    door: Door,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the calls, why each, and the credits.")] = False,
) -> None:
    """Fetch what is missing into bronze."""
    from coinlake.screen import plan_view

    if dry_run:
        door.answer(_with_credits(door.workspace().plan()), plan_view)
        return
    demand_key(door.settings)
    _finish(door, door.workspace().ingest())


def _with_credits(plan: Any) -> dict[str, Any]:
    """A plan as plain values. What a call costs belongs to its class, so it is not among its fields."""
    from coinlake.plain import to_json

    plain: dict[str, Any] = to_json(plan)
    for told, call in zip(plain["calls"], plan.calls, strict=True):
        told["credits"] = call.credits
    return {**plain, "credits": plan.credits, "credits_expected": plan.credits_expected}


@_command("clean", (*_WORKING, *_PLACES), job=True)
def clean(door: Door) -> None:
    """Turn what lies in bronze into observations in silver."""
    _finish(door, door.workspace().clean())


@_command("analyze", (*_WORKING, *_PLACES), job=True)
def analyze(door: Door) -> None:
    """Bring gold up to what silver holds."""
    _finish(door, door.workspace().analyze())


@_command("watch", (*_FETCHING, *_WORKING, *_PLACES), job=True)
def watch(
    door: Door,
    every: Annotated[
        str | None, typer.Option("--every", metavar="1h", help="Fetch in this rhythm too: 90s, 15m, 1h, 1d.")
    ] = None,
) -> None:
    """Watch the lake: clean what lands in bronze, analyze what lands in silver, until Ctrl-C."""
    from coinlake.watch import watch as look

    rhythm = None if every is None else _rhythm(every)
    if rhythm:
        demand_key(door.settings)
    look(
        door.workspace(),
        rhythm,
        time.sleep,
        lambda report: _finish(door, report),
        _warns(door),
    )


def _warns(door: Door) -> Callable[[CoinlakeError], None]:
    return lambda error: door.screen.warn(f"{error}; it is tried again at the next turn")


def _rhythm(text: str) -> timedelta:
    units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
    if not re.fullmatch(r"[1-9][0-9]{0,5}[smhd]", text):
        raise typer.BadParameter(f"{text!r} should be a number and s, m, h or d, such as 1h", param_hint="--every")
    return timedelta(seconds=int(text[:-1]) * units[text[-1]])


@_command("simulate", _PLACES, job=True)
def simulate(
    door: Door,
    coins: Annotated[int, typer.Option("--coins", metavar="N", min=1, max=17_000, help="How many coins.")] = 250,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another seed, another market.")] = 7,
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65_535, help="0 takes a free one.")] = 8790,
    plan: Annotated[str, typer.Option("--plan", metavar="NAME", help="The plan whose limits it keeps.")] = "demo",
    key: Annotated[str | None, typer.Option("--key", metavar="TEXT", help="The only key it takes.")] = None,
    rate: Annotated[
        int | None, typer.Option("--rate", metavar="N", min=0, help="Calls in any 60 s; 0 for no limit. By plan.")
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--begin", metavar="MOMENT", help="Where its clock begins; else the real time.")
    ] = None,
    speed: Annotated[
        str, typer.Option("--speed", metavar="X", help="Simulated seconds a second: 1, 0, or fast (a day a second).")
    ] = "1",
    faults: Annotated[str, typer.Option("--faults", metavar="NAME=RATE,...", help="Misbehaviour, by name.")] = "",
    traps: Annotated[str, typer.Option("--traps", metavar="NAME=RATE,...", help="Dirt in the data, by name.")] = "",
    lasting: Annotated[bool, typer.Option("--lasting", help="No coin dies, as in a lake that is filled.")] = False,
    into_silver: Annotated[bool, typer.Option("--into-silver", help="Serve nothing: fill the lake's silver.")] = False,
    into_bronze: Annotated[bool, typer.Option("--into-bronze", help="Serve nothing: fill its bronze.")] = False,
    years: Annotated[
        int, typer.Option("--years", metavar="N", min=1, max=40, help="Years of 365 days to fill with, up to now.")
    ] = 10,
) -> None:
    """Serve a made-up market at CoinGecko's own paths, on loopback, until Ctrl-C; or fill a lake with it at once."""
    from coinlake.simulator import Options, serve

    if into_silver or into_bronze:
        if into_silver and into_bronze:
            raise typer.BadParameter("fill one layer: silver can be made of bronze", param_hint="--into-bronze")
        _fill(door, into_silver, coins, years, seed, _rates(traps, "--traps"))
        return
    options = Options(
        coins=coins,
        seed=seed,
        port=port,
        plan=plan,
        rate=rate,
        key=key,
        now=begin,
        speed=_speed(speed),
        traps=_rates(traps, "--traps") if traps else None,
        faults=_rates(faults, "--faults") if faults else None,
        lasting=lasting,
    )
    try:
        serve(options, lambda run: door.answer({"url": run.url, "clock": run.clock_url}, _simulating))
    except KeyboardInterrupt:  # which is how it ends
        door.screen.say("the simulated market is closed")
        raise typer.Exit(130) from None


def _fill(door: Door, into_silver: bool, coins: int, years: int, seed: int, traps: Mapping[str, float]) -> None:
    from coinlake import fill

    work = door.workspace()
    bucket = fill.Bucket(coins, years * fill.DAYS_A_YEAR, seed, traps)
    report = (fill.into_silver if into_silver else fill.into_bronze)(work, bucket)
    _finish(door, report)
    door.screen.say(fill.told(report, work.lake))


def _simulating(told: Mapping[str, str]) -> str:
    return (
        f"A simulated market at {told['url']}, until Ctrl-C. Nothing of it is real. In another terminal:\n"
        f"  export COINLAKE_API_URL={told['url']} COINLAKE_NOW={told['clock']} COINLAKE_RATE=0\n"
        "  coinlake --lake data-demo run"
    )


def _speed(text: str) -> float:
    from coinlake.simulator import DAY_A_SECOND

    try:
        return DAY_A_SECOND if text == "fast" else float(text)
    except ValueError as exc:
        raise typer.BadParameter(f"{text!r} should be a number or fast", param_hint="--speed") from exc


def _rates(joined: str, flag: str) -> dict[str, float]:
    try:
        return {name.strip(): float(rate) for name, _, rate in (each.partition("=") for each in _names(joined))}
    except ValueError as exc:
        raise typer.BadParameter(f"{joined!r} should be name=rate, such as html=0.1", param_hint=flag) from exc


_Port = Annotated[int, typer.Option("--port", metavar="N", min=1, max=65_535, help="Where the dashboard is served.")]
_DASHBOARD_PORT = 8501


@_command("demo", ("top", "days", *_WORKING, *_PLACES), job=True)
def demo(
    door: Door,
    once: Annotated[bool, typer.Option("--once", help="Stop after the first run.")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another seed, another market.")] = 7,
    day: Annotated[
        float, typer.Option("--day", metavar="SECONDS", min=0.5, help="How long a simulated day lasts.")
    ] = 5.0,
    port: _Port = _DASHBOARD_PORT,
) -> None:
    """Fill a practice lake from a simulated market, then let its days pass until Ctrl-C."""
    from coinlake import demo as practice
    from coinlake.watch import watch as look

    settings = practice.settings_of(door.loaded)
    with practice.opened(settings, seed, door.screen.report) as (work, simulator):
        _finish(door, work.run())
        _tell_what_to_try(door, settings.lake, work)
        if once:
            return
        with practice.dashboard(settings, port) as address:
            if address:
                door.screen.say(f"the Strategy Command Center opens at {address}")
            door.screen.say(f"a simulated day now lasts {day:g} s; Ctrl-C ends it")
            practice.let_days_pass(simulator, day)
            try:
                told = partial(_finish, door)
                look(work, timedelta(days=1), time.sleep, told, _warns(door), poll_s=0.2)
            except BaseException as error:
                if not was_interrupted(error):
                    raise


def _tell_what_to_try(door: Door, lake: str, work: Workspace) -> None:
    from coinlake.plain import to_json
    from coinlake.screen import grid

    if door.as_json or door.quiet:
        return
    rows = work.query(
        "select rank, symbol, name, price_usd, return_7d, return_30d, market_cap_usd "
        "from gold.market_summary order by rank limit 10"
    )
    names = rows.columns
    shown = [dict(zip(names, to_json(list(row)), strict=True)) for row in rows.fetchall()]
    door.screen.show(grid(shown, "the ten largest coins of a SIMULATED market: nothing of it is real"))
    door.screen.show(
        f"The lake is in {lake}. Try{_once_activated()}:\n"
        f"  coinlake --lake {lake} status\n"
        f"  coinlake --lake {lake} tables\n"
        f"  coinlake --lake {lake} query \"select day, close_usd from gold.daily where coin_id = 'sim-bitcoin' "
        'order by day desc limit 7"'
    )


def _once_activated() -> str:
    """What has to be typed first where the program lies in a virtual environment that the shell knows nothing of."""
    if sys.prefix == sys.base_prefix or os.environ.get("VIRTUAL_ENV") == sys.prefix:
        return ""
    place = Path(sys.prefix)
    here = place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place
    script = here / "Scripts" / "activate" if sys.platform == "win32" else here / "bin" / "activate"
    return f", after `{'' if sys.platform == 'win32' else 'source '}{script}`"


@_command("dashboard", frames=True)
def dashboard(
    door: Door,
    port: _Port = _DASHBOARD_PORT,
    address: Annotated[
        str, typer.Option("--address", metavar="HOST", help="Who reaches it: this machine, or 0.0.0.0 for all.")
    ] = "127.0.0.1",
) -> None:
    """Show gold in the browser: the Strategy Command Center, until Ctrl-C. It reads gold, and never writes."""
    try:
        import streamlit  # noqa: F401
    except ImportError as error:
        raise ConfigError("streamlit is not installed: pip install 'coinlake[dashboard]'") from error
    from coinlake.dashboard.door import serve

    gold = door.settings.gold
    os.environ["COINLAKE_GOLD"] = gold if "://" in gold else str(Path(gold).expanduser().absolute())
    serve(port, address)


@_command("rebuild", (*_WORKING, *_PLACES), job=True)
def rebuild(
    door: Door,
    layer: Annotated[str, typer.Option("--layer", metavar="silver|gold", help="The layer to make anew.")],
    tables: Annotated[str, typer.Option("--tables", metavar="A,B", help="These tables only.")] = "",
) -> None:
    """Make silver anew from bronze, or gold from silver."""
    if layer not in {"silver", "gold"}:
        raise typer.BadParameter(f"{layer!r} is neither silver nor gold", param_hint="--layer")
    _finish(door, door.workspace().rebuild(layer, _names(tables)))


def _names(joined: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in joined.split(",") if name.strip())


@_command("import", (*_WORKING, *_PLACES), job=True)
def import_(
    door: Door,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="CSV or Parquet files.")],
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="Whose numbers these are.")],
    mapping: Annotated[
        str,
        typer.Option(
            "--mapping",
            metavar="WHAT=COLUMN,...",
            help="Which columns to take for coin, day or time, open, high, low, close, volume; - for none.",
        ),
    ] = "",
    coin: Annotated[str | None, typer.Option("--coin", metavar="ID", help="The coin, where no column says.")] = None,
    time_is: Annotated[
        str, typer.Option("--time-is", metavar="opens|closes", help="Which end of a candle its time names.")
    ] = "opens",
    date_form: Annotated[
        str | None,
        typer.Option(
            "--date-form",
            metavar="NAME",
            help="The form of its dates where they do not tell: dmy, mdy, iso_day, unix_s...",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be taken, write nothing.")] = False,
) -> None:
    """Take histories of your own into bronze and silver: CSV or Parquet of coin, time, and prices."""
    from coinlake.screen import import_view

    if time_is not in {"opens", "closes"}:
        raise typer.BadParameter(f"{time_is!r} is neither opens nor closes", param_hint="--time-is")
    means = _pairs(mapping)
    report = door.workspace().import_files(list(map(str, files)), source, means, coin, time_is, date_form, dry_run)
    door.answer(report, import_view)
    for file in report["files"]:
        for warning in file["warnings"]:
            door.screen.warn(f"{file['file']}: {warning}")


def _pairs(joined: str) -> dict[str, str]:
    pairs = [each.partition("=") for each in _names(joined)]
    for what, equals, column in pairs:
        if not (what.strip() and equals and column.strip()):
            raise typer.BadParameter(f"{what!r} should be what=COLUMN, such as close=Last", param_hint="--mapping")
    return {what.strip(): column.strip() for what, _, column in pairs}


@_command("export", _PLACES, job=True)
def export(
    door: Door,
    to: Annotated[str | None, typer.Option("--to", metavar="FOLDER", help="A folder, in place of gold's own.")] = None,
) -> None:
    """Write the files for others: summary, signals and indicators as CSV and Parquet, and the report."""
    from coinlake.screen import facts

    door.answer({"exports": door.workspace().export(to)}, facts)


@_command("report", _PLACES)
def report(
    door: Door,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="A file of your own; - writes to stdout.")
    ] = None,
) -> None:
    """Write the market as one HTML page that opens without a network: into `exports/`, or a file of your own."""
    from coinlake.screen import facts

    if str(output) == "-":
        sys.stdout.write(door.workspace().page())
        return
    if output is None:
        where = door.workspace().write_report()
    else:
        with _in_its_place(output) as part:
            part.write_text(door.workspace().page(), encoding="utf-8", newline="\n")
        where = str(output)
    door.answer({"report": where}, facts)


@_command("show", _PLACES)
def show(
    door: Door,
    coin: Annotated[str, typer.Argument(metavar="COIN", help="Its CoinGecko id, or a symbol only one coin has.")],
) -> None:
    """Show a coin at a glance: its course, returns, indicators, and the newest day's signals."""
    from coinlake.portrait import coin_view

    door.answer(door.workspace().portrait(coin), coin_view)


@_command("tidy", ("keep_hours", *_PLACES), job=True)
def tidy(door: Door) -> None:
    """Compact tables and remove what nobody reads any more. No observation is dropped."""
    from coinlake.screen import anything

    door.answer(door.workspace().tidy(), anything)


@_command("replay-dead-letters")
def replay_dead_letters(
    door: Door,
    subscription: Annotated[
        str, typer.Option("--subscription", metavar="NAME", help="The one that keeps them, its project's or in full.")
    ] = "coinlake-dead-letter",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the first hundred, move nothing.")] = False,
) -> None:
    """Send events that died back to their functions, once the cause is mended (Google Cloud).

    One that cannot go back stays, and the others go; then this ends with 7.
    """
    from coinlake import deadletters
    from coinlake.screen import grid

    name = deadletters.full_name(subscription, os.environ)
    done = deadletters.replay(deadletters.service(os.environ), name, dry_run)
    door.answer(done, lambda plain: grid(plain["letters"], names=("object", "gave_up", "topic")))
    if not door.as_json:
        for each in done.left:
            door.screen.say(f"message {each.message} ({each.object or 'of no object'}) stays: {each.why}")
        door.screen.say(_went_back(len(done.letters), len(done.left), dry_run))
    if done.left and not dry_run:
        raise typer.Exit(LakeError.exit_code)


def _went_back(went: int, left: int, dry_run: bool) -> str:
    said = f"{went} {'would go' if dry_run else 'went'} back"
    if left:
        return f"{said}, {left} {'would stay' if dry_run else 'could not be sent and stayed'}"
    if went:
        return said
    return f"{said}; letters that somebody has just pulled are hidden, and come back after 10 minutes"


# Commands that ask a question --------------------------------------------------------------------------------------


_Format = Annotated[
    str | None, typer.Option("--format", metavar="table|csv|json|parquet", help="table shows the first 100 rows.")
]
_Output = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write here, not to stdout.")]


@_command("query")
def query(
    door: Door,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="SQL over silver.* and gold.*; - reads it from stdin.")],
    format_: _Format = None,
    output: _Output = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="MOMENT", help="As it was known then: rows fetched until then.")
    ] = None,
) -> None:
    """Ask silver and gold a question in SQL (DuckDB's)."""
    form = _form(format_, door.as_json, output)
    question = sys.stdin.read() if sql == "-" else sql
    at = _when(as_of)
    work = door.workspace()
    with _asking(), work.lake.guarded():
        _answer(door, form, work.query(question, at), output)


_Day = Annotated[datetime | None, typer.Option(metavar="DAY", formats=["%Y-%m-%d"], help="A UTC day: 2026-11-24.")]


@_command("equity", ("fee_bp", "slippage_bp", *_PLACES))
def equity(
    door: Door,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="A rule of gold.signals: golden_cross, momentum...")],
    coin: Annotated[str, typer.Argument(metavar="COIN", help="Its CoinGecko id, or a symbol only one coin has.")],
    first: _Day = None,
    last: _Day = None,
    format_: _Format = None,
    output: _Output = None,
) -> None:
    """Follow a rule on a coin: what became of one dollar, day by day, beside holding the coin and holding bitcoin."""
    form = _form(format_, door.as_json, output)
    _answer(door, form, door.workspace().equity(rule, coin, first and first.date(), last and last.date()), output)


@_command("correlations", _PLACES)
def correlations(
    door: Door,
    coins: Annotated[
        list[str] | None, typer.Argument(metavar="[COIN]...", help="The largest where none is named.")
    ] = None,
    day: _Day = None,
    format_: _Format = None,
    output: _Output = None,
) -> None:
    """Show how coins move together, over 30 and 90 days up to the newest day, or another."""
    form = _form(format_, door.as_json, output)
    _answer(door, form, door.workspace().correlations(coins or [], day and day.date()), output)


def _answer(door: Door, form: str, rows: duckdb.DuckDBPyRelation, output: Path | None) -> None:
    if output is None:
        _write(door, form, rows)
    else:
        _write_file(door, form, rows, output)


def _form(wanted: str | None, as_json: bool, output: Path | None) -> str:
    """How a query's rows are written, once it is seen that this can be done."""
    form = wanted or ("json" if as_json else "table")
    if form not in {"table", "csv", "json", "parquet"}:
        raise typer.BadParameter(f"{form!r} is none of table, csv, json, parquet", param_hint="--format")
    if as_json and form != "json" and output is None:
        raise typer.BadParameter(f"{form} is not what --json asks for; leave one of them out", param_hint="--format")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise typer.BadParameter("Parquet is not for reading; give a file", param_hint="--output")
    return form


@contextmanager
def _asking() -> Iterator[None]:
    """What DuckDB cannot do with a question over a sound lake is the question's fault."""
    import duckdb

    try:
        yield
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        raise ConfigError(f"the query failed: {brief(error)}") from error


def _when(as_of: str | None) -> datetime | None:
    try:
        return to_asked(as_of) if as_of else None
    except ValueError as error:
        raise typer.BadParameter(
            f"{as_of!r} is no moment such as 2022-02-01T00:45:00Z", param_hint="--as-of"
        ) from error


def _write(door: Door, form: str, rows: duckdb.DuckDBPyRelation) -> None:
    """Rows to stdout. They are computed in full first: a query that fails leaves nothing half written."""
    from coinlake.screen import write_csv, write_json

    if form == "parquet":
        with TemporaryDirectory() as folder:
            rows.write_parquet(f"{folder}/rows.parquet")
            sys.stdout.buffer.write(Path(f"{folder}/rows.parquet").read_bytes())
        return
    names, found = _fetch(rows)
    if form == "table":
        _show_rows(door, names, found)
    elif form == "csv":
        write_csv(sys.stdout, names, found)
    else:
        write_json(sys.stdout, names, found)


def _write_file(door: Door, form: str, rows: duckdb.DuckDBPyRelation, output: Path) -> None:
    """Rows to a file, put in its place only when it is whole."""
    from coinlake.screen import plain, write_csv, write_json

    with _in_its_place(output) as part:
        if form == "parquet":
            rows.write_parquet(str(part))
        else:
            names, found = _fetch(rows)
            with part.open("w", encoding="utf-8", newline="") as out:
                if form == "table":
                    out.write(plain(_rows_view(names, list(found))))
                else:
                    (write_csv if form == "csv" else write_json)(out, names, found)
    door.screen.say(f"wrote {output}")


@contextmanager
def _in_its_place(output: Path) -> Iterator[Path]:
    """A file to write to beside the one asked for; it takes its place only when it is whole."""
    if not output.parent.is_dir():
        raise ConfigError(f"--output {output}: there is no folder {output.parent}; make it first")
    if output.is_dir():
        raise ConfigError(f"--output {output} is a folder; name a file in it")
    part = output.with_name(f".{output.name}.part")
    try:
        yield part
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


_FIRST = 100
_AT_ONCE = 10_000


def _fetch(rows: duckdb.DuckDBPyRelation) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """Names and rows of a relation, computed in full; a name that occurs again gets its column's number."""
    names: list[str] = []
    for number, name in enumerate(rows.columns, 1):
        names.append(f"{name}_{number}" if name in names else name)
    return names, _batches(rows.execute())


def _batches(rows: duckdb.DuckDBPyRelation) -> Iterator[tuple[Any, ...]]:
    while batch := rows.fetchmany(_AT_ONCE):
        yield from batch


def _rows_view(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    from coinlake.screen import grid

    return grid([dict(zip(names, row, strict=True)) for row in rows], names=names)


def _show_rows(door: Door, names: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    from coinlake.screen import first

    some, more = first(rows, _FIRST)
    door.screen.show(_rows_view(names, some))
    if more:
        door.screen.say(f"the first {_FIRST} rows; --format csv, json or parquet gives all of them")
    elif not some:
        door.screen.say("no rows")


@_command("tables")
def tables(door: Door) -> None:
    """List the tables: grain, rows, version, newest row."""
    from coinlake.screen import grid

    found = door.workspace().tables()
    door.answer({"tables": found}, lambda plain: grid(plain["tables"]))


@_command("describe")
def describe(door: Door, table: Annotated[str, typer.Argument(metavar="TABLE", help="Such as gold.daily.")]) -> None:
    """Show what a table promises: grain, key, columns with type, unit and range."""
    from coinlake.screen import table_view

    found = door.workspace().describe(table)
    columns = {
        name: {**asdict(column), "type": column.type.name.lower(), "required": found.required(name)}
        for name, column in found.columns.items()
    }
    door.answer({**asdict(found), "columns": columns}, table_view)


@_command("status", (*_FETCHING, *_PLACES))
def status(door: Door) -> None:
    """Show how the lake stands: freshness, rows, gaps, rejects, last runs, credits used this month."""
    from coinlake.screen import anything

    door.answer(door.workspace().status(), anything)


@_command("config", _ALL)
def config(door: Door) -> None:
    """Show every setting, its value, and where it came from; secrets are masked."""
    from coinlake.screen import grid

    rows = door.loaded.rows()
    door.answer({"settings": rows}, lambda _: grid(rows, names=("setting", "value", "from", "variable")))


@_command("cost")
def cost(door: Door) -> None:
    """Show what the recorded runs would cost a month on Google Cloud in Sydney, item by item, against what is free."""
    from coinlake.screen import cost_view

    door.answer(door.workspace().cost(), cost_view)


@_command("doctor", (*_FETCHING, *_PLACES))
def doctor(door: Door) -> None:
    """Say what is wrong and how to mend it; ends with 7 where something must be done."""
    from coinlake.screen import grid

    found = door.workspace().doctor()
    if found or door.as_json:
        door.answer({"findings": found}, lambda plain: grid(plain["findings"], names=("severity", "what", "mend")))
    else:
        door.screen.show("Nothing is wrong.")
    if any(str(each.severity).lower() == "error" for each in found):
        raise typer.Exit(7)


def main(argv: list[str] | None = None) -> None:
    """Run the command line on `argv` (the process's own arguments by default); ends with SystemExit."""
    try:
        app(args=argv, prog_name="coinlake")
    except KeyboardInterrupt:
        # Before or after a command: while the program starts or ends.
        sys.stderr.write(f"coinlake: {INTERRUPTED}\n")
        raise SystemExit(130) from None

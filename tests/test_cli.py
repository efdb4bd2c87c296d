"""The command line as a person and a script meet it: what is written where, and what it ends with."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from coinlake import catalog, errors
from coinlake.cli import EXIT_CODES, INTERRUPTED, Asked, _ends, _metavar, main
from coinlake.plain import sentence, to_json
from coinlake.progress import WAIT, Progress
from coinlake.screen import Screen, Step, duration, mode_of, write_csv, write_json
from coinlake.settings import SETTINGS

SRC = Path(__file__).parents[1] / "src"
NOON = datetime(2022, 2, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Done:
    """What one call of the program ended with and wrote."""

    returncode: int
    stdout: str
    stderr: str
    written: bytes = b""


def _environ(folder: Path, **more: str) -> dict[str, str]:
    """An environment in which the program leaves what it keeps about the pace in `folder`, not with the user."""
    return {**os.environ, "PYTHONPATH": str(SRC), "COLUMNS": "200", "XDG_STATE_HOME": str(folder / ".state"), **more}


def process(folder: Path, *args: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, in `folder`."""
    command = [sys.executable, "-m", "coinlake", *args]
    given: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **more}
    return subprocess.run(command, cwd=folder, env=_environ(folder), timeout=120, check=False, **given)


def coinlake(folder: Path, *args: str, stdin: str = "", **environ: str) -> Done:
    """The program in this process, as if begun in `folder`: as good as one of its own, and much faster."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in _environ(folder, **environ).items():
            patch.setenv(name, value)
        for name, stream in {"stdin": io.StringIO(stdin), "stdout": out, "stderr": err}.items():
            patch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as ended:
            main(list(args))
        out.flush()
        err.flush()
    written = out.buffer.getvalue()
    told = err.buffer.getvalue().decode()
    code = ended.value.code
    return Done(code if isinstance(code, int) else 0, written.decode("utf-8", "replace"), told, written)


def _setting(done: Done, name: str) -> Mapping[str, str]:
    return next(row for row in json.loads(done.stdout)["settings"] if row["setting"] == name)


# What needs no lake --------------------------------------------------------------------------------------------------


def test_help_is_there_without_loading_what_is_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom coinlake.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'duckdb', 'deltalake', 'httpx', 'numpy', 'obstore', 'narwhals', 'pandas', 'pyarrow', 'talib'}\n"
        "sys.stderr.write(','.join(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=_environ(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "Usage: coinlake" in done.stdout


@pytest.mark.parametrize(("engine", "loaded"), [("duckdb", ""), ("pandas", "pandas")])
def test_a_command_loads_pandas_only_where_it_is_the_engine(tmp_path: Path, engine: str, loaded: str) -> None:
    (tmp_path / "mine.csv").write_text("day,coin_id,close\n2020-01-01,bitcoin,7200.5\n")
    code = (
        "import sys\nfrom coinlake.cli import main\n"
        "try: main(['import', 'mine.csv', '--source', 'mine', '--quiet'])\n"
        "except SystemExit as ended: print(ended.code)\n"
        "print(','.join(sorted({'pandas', 'polars'} & set(sys.modules))))"
    )
    environ = _environ(tmp_path, COINLAKE_ENGINE=engine)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.stdout.split("\n")[-3:-1] == ["0", loaded], done.stderr


def test_the_help_names_every_exit_code_there_is(tmp_path: Path) -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    shown = coinlake(tmp_path, "--help").stdout
    for code in {0, 1, 2, 130, *(kind.exit_code for kind in kinds if issubclass(kind, errors.CoinlakeError))}:
        assert f"- {code}: " in EXIT_CODES
        assert f"• {code}: " in shown


def test_the_help_asks_for_a_root_only_where_one_is_wanted() -> None:
    places = {name for name, setting in SETTINGS.items() if _metavar(setting.should_be) == "ROOT"}
    assert places <= {"lake", "bronze", "silver", "gold", "api_key", "storage_options"}
    assert _metavar(SETTINGS["fee_bp"].should_be) == _metavar(SETTINGS["slippage_bp"].should_be) == "X"


def test_the_readme_has_every_exit_code_and_every_kind_of_failure_that_a_record_may_name() -> None:
    section = (SRC.parent / "README.md").read_text().split("## Exit codes")[1].split("\n## ")[0]
    told = {int(row[1]): row[2] for row in re.finditer(r"^\| (\d+) \| (.+) \|$", section, re.MULTILINE)}
    codes = {int(code) for code in re.findall(r"^- (\d+): ", EXIT_CODES, re.MULTILINE)}
    assert told.keys() == codes
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.CoinlakeError) and kind is not errors.CoinlakeError:
            assert f"`{kind.__name__}`" in told[kind.exit_code]
    assert "`KeyboardInterrupt`" in told[130]
    assert "a setting, a file or a question is wrong" in told[3]
    assert "a setting, a file or a question is wrong" in EXIT_CODES


def test_both_ends_of_what_can_be_asked_about_are_answered(tmp_path: Path) -> None:
    for moment in ("1970-01-01T00:00:00Z", "2262-01-01T00:00:00Z"):
        for words in (("query", "from gold.daily", "--as-of", moment), ("status", "--now", moment)):
            assert coinlake(tmp_path, *words).returncode == 0
        done = coinlake(tmp_path, "ingest", "--dry-run", "--days", "36500", "--plan", "analyst", "--now", moment)
        assert (done.returncode, done.stderr) == (0, "")


def test_no_command_at_all_shows_the_help(tmp_path: Path) -> None:
    done = coinlake(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: coinlake" in done.stdout


@pytest.mark.parametrize("args", [("--version",), ("config", "--version"), ("--version", "run")])
def test_the_version_is_told_before_and_after_the_command(args: tuple[str, ...], tmp_path: Path) -> None:
    done = coinlake(tmp_path, *args)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("coinlake")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    "args",
    [
        ("frobnicate",),
        ("run", "--frobnicate"),
        ("rebuild",),
        ("rebuild", "--layer", "bronze"),
        ("query",),
        ("query", "select 1", "--format", "xml"),
        ("query", "select 1", "--format", "csv", "--json"),
        ("--json", "query", "select 1", "--format", "table"),
        ("query", "select 1", "--as-of", "yesterday"),
        ("import", "--source", "mine"),
        ("import", "a.csv", "--source", "mine", "--time-is", "later"),
        ("import", "a.csv", "--source", "mine", "--mapping", "Close"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_why_on_stderr(args: tuple[str, ...], tmp_path: Path) -> None:
    done = coinlake(tmp_path, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "Usage" in done.stderr


@pytest.mark.parametrize("args", [("--lake", "x", "--json", "config"), ("config", "--lake", "x", "--json")])
def test_global_flags_are_taken_before_and_after_the_command(args: tuple[str, ...], tmp_path: Path) -> None:
    row = _setting(coinlake(tmp_path, *args), "lake")
    assert (row["value"], row["from"]) == ("x", "flag --lake")


def test_of_two_the_flag_after_the_command_counts(tmp_path: Path) -> None:
    assert _setting(coinlake(tmp_path, "--lake", "x", "config", "--lake", "y", "--json"), "lake")["value"] == "y"


def test_config_says_of_every_setting_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "coinlake.toml").write_text("days = 30\n")
    done = coinlake(tmp_path, "config", "--top", "3", "--json", COINLAKE_ENGINE="pandas")
    assert done.returncode == 0
    assert [_setting(done, name)["from"] for name in ("top", "engine", "days", "log")] == [
        "flag --top",
        "environment COINLAKE_ENGINE",
        "coinlake.toml",
        "default",
    ]


@pytest.mark.parametrize("args", [("config",), ("config", "--json"), ("config", "--debug")])
def test_config_masks_the_key(args: tuple[str, ...], tmp_path: Path) -> None:
    done = coinlake(tmp_path, *args, COINLAKE_API_KEY="CG-s3cr3t")
    assert done.returncode == 0
    assert "CG-s3cr3t" not in done.stdout + done.stderr
    assert "COINLAKE_API_KEY" in done.stdout


def test_a_wrong_setting_is_one_sentence_on_stderr_and_ends_with_3(tmp_path: Path) -> None:
    done = coinlake(tmp_path, "run", COINLAKE_TOP="ten")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "coinlake: top should be a whole number from 1 to 10000; COINLAKE_TOP says 'ten'\n"


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    done = coinlake(tmp_path, "run", "--top", "ten", "--debug")
    assert done.returncode == 3
    assert "Traceback" in done.stderr
    assert done.stderr.rstrip().splitlines()[-1].startswith("coinlake: top should be")


def test_a_machine_hears_of_a_failure_on_stdout_too(tmp_path: Path) -> None:
    done = coinlake(tmp_path, "run", "--json", "--top", "ten")
    assert done.returncode == 3
    error = json.loads(done.stdout)["error"]
    assert (error["kind"], error["exit_code"]) == ("ConfigError", 3)
    assert error["message"] in done.stderr


def test_a_misspelt_variable_is_a_warning_and_stops_nothing(tmp_path: Path) -> None:
    done = coinlake(tmp_path, "config", COINLAKE_LAEK="x")
    assert done.returncode == 0
    assert done.stderr == "warning: COINLAKE_LAEK is ignored, for it is no setting; did you mean COINLAKE_LAKE?\n"


def test_a_plan_with_a_key_does_not_begin_without_one(tmp_path: Path) -> None:
    done = coinlake(tmp_path, "run", COINLAKE_PLAN="demo", COINLAKE_LOG="text")
    assert (done.returncode, done.stdout) == (3, "")
    assert "set COINLAKE_API_KEY" in done.stderr
    assert not (tmp_path / "data").exists()


def test_whoever_reads_only_the_beginning_ends_the_program_quietly(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = process(tmp_path, "config", stdout=closed)
    assert (done.returncode, done.stderr) == (141, "")


# The screen ----------------------------------------------------------------------------------------------------------


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass
class _Seen:
    """A screen on two texts, and a clock that the test moves."""

    mode: Any = "json"
    quiet: bool = False
    out: io.StringIO = field(default_factory=io.StringIO)
    err: io.StringIO = field(default_factory=io.StringIO)
    at: float = 0.0

    def screen(self) -> Screen:
        return Screen(self.out, self.err, lambda: NOON, lambda: self.at, self.mode, self.quiet)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.err.getvalue().splitlines()]


def test_the_log_setting_and_the_terminal_decide_how_progress_is_written() -> None:
    assert [mode_of(log, tty) for log in ("auto", "json", "text") for tty in (True, False)] == [
        "picture",
        "json",
        "json",
        "json",
        "picture",
        "text",
    ]


def test_log_lines_are_json_with_severity_message_time_run_and_fields() -> None:
    seen = _Seen()
    screen = seen.screen()
    screen.report(Progress("ingest", 3, 13, "bitcoin, days=364", run="r1"))
    screen.warn("look")
    screen.fail("stopped", 4)
    first, second, third = seen.lines()
    assert first == {
        "severity": "INFO",
        "message": "ingest: 3 of 13, bitcoin, days=364",
        "time": "2022-02-01T12:00:00.000000Z",
        "run": "r1",
        "step": "ingest",
        "done": 3,
        "total": 13,
        "note": "bitcoin, days=364",
    }
    assert (second["severity"], second["message"], second["run"]) == ("WARNING", "look", "r1")
    assert (third["severity"], third["message"], third["exit_code"]) == ("ERROR", "stopped", 4)
    assert seen.out.getvalue() == ""


def test_a_long_step_is_logged_at_its_begin_its_end_and_every_ten_seconds() -> None:
    seen = _Seen()
    screen = seen.screen()
    for done in range(41):
        seen.at = done * 1.0
        screen.report(Progress("clean", done, 40))
    assert [line["done"] for line in seen.lines()] == [0, 10, 20, 30, 40]


def test_a_wait_is_told_at_once_and_belongs_to_the_step_that_waits() -> None:
    seen = _Seen()
    screen = seen.screen()
    screen.paces = {"ingest": 5}
    screen.report(Progress("ingest", 0, 12))
    seen.at = 2.0
    screen.report(Progress("ingest", 5, 12))
    screen.report(Progress(WAIT, 0, None, "waiting 58 s"))
    seen.at = 60.0
    screen.report(Progress("ingest", 6, 12))
    seen.at = 61.0
    screen.report(Progress("ingest", 7, 12))
    told = [(line["step"], line["done"], line["note"], line.get("seconds_left")) for line in seen.lines()]
    assert told == [("ingest", 0, "", 120), ("ingest", 5, "waiting 58 s", 118), ("ingest", 6, "", 60)]


def test_a_wait_before_any_step_is_a_step_of_its_own() -> None:
    seen = _Seen("text")
    seen.screen().report(Progress(WAIT, 0, None, "waiting 58 s"))
    assert seen.err.getvalue() == "wait: waiting 58 s\n"


def test_a_step_without_work_says_so() -> None:
    assert [sentence(each) for each in (Progress("ingest", 0, 0), Progress("tidy", 0), Progress("clean", 2, 3))] == [
        "ingest: nothing to do",
        "tidy: begun",
        "clean: 2 of 3",
    ]


@pytest.mark.parametrize(("debug", "hint"), [(False, "; run again with --debug to see where"), (True, "")])
def test_what_nobody_expected_is_one_sentence_that_names_debug(
    debug: bool, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = _Seen("text")
    with pytest.raises(typer.Exit) as ended, _ends(Asked(debug=debug), seen.screen()):
        raise RuntimeError("odd\nand more")
    assert ended.value.exit_code == 1
    assert seen.err.getvalue() == f"coinlake: something unexpected happened (RuntimeError: odd){hint}\n"
    assert ("Traceback" in capsys.readouterr().err) is debug


def test_a_machine_hears_of_what_nobody_expected_too() -> None:
    seen = _Seen("text")
    with pytest.raises(typer.Exit), _ends(Asked(as_json=True), seen.screen()):
        raise RuntimeError("odd")
    assert json.loads(seen.out.getvalue())["error"]["kind"] == "RuntimeError"


def test_quiet_says_nothing_but_warnings_and_errors() -> None:
    seen = _Seen("text", quiet=True)
    screen = seen.screen()
    screen.report(Progress("clean", 1, 2))
    screen.say("wrote a file")
    screen.warn("look")
    screen.fail("stopped", 1)
    assert seen.err.getvalue() == "warning: look\ncoinlake: stopped\n"


def test_a_terminal_sees_what_is_waited_for_how_many_and_how_long() -> None:
    seen = _Seen("picture", err=_Terminal())
    with seen.screen() as screen:
        screen.paces = {"ingest": 5}
        screen.report(Progress("ingest", 0, 12, "waiting 41 s for the pace"))
        seen.at = 10.0
        screen.report(Progress("ingest", 5, 12, "bitcoin"))
        screen.say("by the way")
        screen.report(Progress("clean", 0))
    shown = seen.err.getvalue()
    assert "waiting 41 s for the pace" in shown or "bitcoin" in shown
    assert "by the way" in shown
    assert "12" in shown
    assert shown.endswith("\x1b[?25h") or "\x1b[?25h" in shown, "the cursor is back"


def test_the_time_left_is_what_was_seen_until_now_carried_on() -> None:
    step = Step(Progress("clean", 30, 90), began=100.0, from_done=10)
    assert step.seconds_left(at=120.0) == pytest.approx(60.0)
    assert Step(Progress("clean", 0, 90), 100.0, 0).seconds_left(120.0) is None
    assert Step(Progress("clean", 5, None), 100.0, 0).seconds_left(120.0) is None
    assert Step(Progress("clean", 90, 90), 100.0, 0).seconds_left(120.0) == 0.0


def test_the_time_left_of_a_paced_step_counts_the_minutes_to_be_waited() -> None:
    """Five calls a minute: the first five are done in a second, yet thirteen take two minutes."""
    step = Step(Progress("ingest", 5, 13), began=0.0, from_done=0, rate=5)
    assert step.seconds_left(at=1.0) == pytest.approx(119.0)


@given(total=st.integers(1, 500), rate=st.integers(1, 100), done=st.integers(0, 500), elapsed=st.floats(0, 1e5))
def test_the_time_left_is_never_negative_and_never_less_than_the_pace_allows(
    total: int, rate: int, done: int, elapsed: float
) -> None:
    left = Step(Progress("ingest", min(done, total), total), 0.0, 0, rate).seconds_left(elapsed)
    assert left is not None
    assert left >= 0
    if done < total:
        assert left + elapsed >= (total - 1) // rate * 60 - 1e-6


def test_durations_are_said_as_a_person_says_them() -> None:
    assert [duration(seconds) for seconds in (None, 0.2, 59, 60, 200, 3900)] == [
        "",
        "1 s",
        "59 s",
        "1 min",
        "3 min 20 s",
        "1 h 5 min",
    ]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_numbers_come_back_from_json_and_csv_to_the_last_bit(numbers: list[float]) -> None:
    as_json, as_csv = io.StringIO(), io.StringIO()
    write_json(as_json, ["n"], [(number,) for number in numbers])
    write_csv(as_csv, ["n"], [(number,) for number in numbers])
    assert [row["n"] for row in json.loads(as_json.getvalue())] == numbers
    assert [float(line) for line in as_csv.getvalue().splitlines()[1:]] == numbers


def test_what_json_has_no_word_for_is_null_and_moments_are_iso() -> None:
    value = {"nan": float("nan"), "inf": float("-inf"), "at": NOON, "day": date(2022, 2, 1), "of": ("a", Path("b"))}
    assert to_json(value) == {
        "nan": None,
        "inf": None,
        "at": "2022-02-01T12:00:00Z",
        "day": "2022-02-01",
        "of": ["a", "b"],
    }


# What needs a lake and no service ------------------------------------------------------------------------------------

TYPES = (
    "select timestamptz '2022-02-01 00:45:00+00' as at, date '2022-02-01' as day, 1.1792020782950375e-11::double as f, "
    "9007199254740993 as big, null as nothing, 'a,\"b' as words, [1, 2] as list, true as yes, 2 as big"
)


def test_query_writes_one_json_array_with_numbers_in_full_and_nothing_else(tmp_path: Path) -> None:
    for form in (("--format", "json"), ("--json",)):
        done = coinlake(tmp_path, "query", TYPES, *form)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) == [
            {
                "at": "2022-02-01T00:45:00Z",
                "day": "2022-02-01",
                "f": 1.1792020782950375e-11,
                "big": 9007199254740993,
                "nothing": None,
                "words": 'a,"b',
                "list": [1, 2],
                "yes": True,
                "big_9": 2,
            }
        ]


def test_a_query_for_a_table_that_is_none_says_how_to_find_those_there_are(tmp_path: Path) -> None:
    done = coinlake(tmp_path, "query", "select * from gold.nothing")
    assert done.returncode == 3
    assert "there is no table gold.nothing; `coinlake tables` lists those there are" in done.stderr


def test_query_that_finds_nothing_is_an_empty_array(tmp_path: Path) -> None:
    done = coinlake(tmp_path, "query", "select * from gold.daily", "--format", "json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])


def test_query_writes_csv(tmp_path: Path) -> None:
    done = coinlake(tmp_path, "query", TYPES, "--format", "csv")
    assert done.stdout.splitlines() == [
        "at,day,f,big,nothing,words,list,yes,big_9",
        '2022-02-01T00:45:00Z,2022-02-01,1.1792020782950375e-11,9007199254740993,,"a,""b","[1, 2]",true,2',
    ]


def test_query_writes_parquet_to_stdout_and_to_a_file(tmp_path: Path) -> None:
    done = coinlake(tmp_path, "query", "select 1 as a", "--format", "parquet")
    (tmp_path / "piped.parquet").write_bytes(done.written)
    told = coinlake(tmp_path, "query", "select 1 as a", "--format", "parquet", "--output", "asked.parquet")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "wrote asked.parquet\n")
    for name in ("piped.parquet", "asked.parquet"):
        assert duckdb.sql(f"select * from '{tmp_path / name}'").fetchall() == [(1,)]


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_query_writes_to_a_file_what_it_writes_to_stdout(form: str, tmp_path: Path) -> None:
    shown = coinlake(tmp_path, "query", TYPES, "--format", form).stdout
    done = coinlake(tmp_path, "query", TYPES, "--format", form, "--output", "out", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "out").read_text() == shown


def test_a_query_that_fails_half_way_leaves_the_file_and_stdout_alone(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("before")
    sql = "select i / (case when i = 90000 then error('no') else 1 end)::int from range(100000) t(i)"
    for output in ((), ("--output", "out")):
        for form in ("json", "csv", "parquet"):
            done = coinlake(tmp_path, "query", sql, "--format", form, *output)
            assert (done.returncode, done.stdout) == (3, "")
            assert done.stderr.startswith("coinlake: the query failed: ")
            assert done.stderr.count("\n") == 1
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir() if each.is_file()] == [("out", "before")]


def test_query_reads_a_question_from_stdin(tmp_path: Path) -> None:
    assert json.loads(coinlake(tmp_path, "query", "-", "--json", stdin="select 1 as a").stdout) == [{"a": 1}]


def test_a_table_for_the_eye_shows_the_first_hundred_rows_and_says_so(tmp_path: Path) -> None:
    done = coinlake(tmp_path, "query", "select i from range(150) t(i)")
    assert len(done.stdout.splitlines()) == 101
    assert "first 100 rows" in done.stderr
    assert (
        len(coinlake(tmp_path, "query", "select i from range(150) t(i)", "--format", "csv").stdout.splitlines()) == 151
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("query", "selec 1"), "syntax error"),
        (("query", "select 1; select 2"), "one at a time"),
        (("query", "pivot (select 1 as a) on a; from gold.daily"), "one at a time"),
        (("query", "select * from gold.dayly"), "dayly"),
        (("query", "select 1", "--output", "nowhere/out"), "no folder nowhere"),
        (("query", "from gold.daily", "--as-of", "0001-01-01"), "from 1970-01-01 to 2262-01-01"),
        (("query", "from silver.prices", "--as-of", "2262-04-12T00:00:00Z"), "from 1970-01-01 to 2262-01-01"),
        (("query", "select 1", "--as-of", "9999-12-31T23:59:59-05:00"), "from 1970-01-01 to 2262-01-01"),
        (("status", "--now", "9999-01-01"), "from 1970-01-01 to 2262-01-01"),
        (("describe", "gold.dayly"), "gold.daily"),
        (("rebuild", "--layer", "gold", "--tables", "gold.dayly"), "gold.daily"),
    ],
)
def test_a_question_nobody_can_answer_is_one_sentence(args: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = coinlake(tmp_path, *args, COINLAKE_LOG="text")
    assert (done.returncode, done.stdout) == (3, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_empty_lake_can_be_looked_at(tmp_path: Path) -> None:
    for command in ("tables", "status", "doctor"):
        done = coinlake(tmp_path, command)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout
        assert isinstance(json.loads(coinlake(tmp_path, command, "--json").stdout), dict)


def test_tables_lists_every_table_and_describe_knows_each(tmp_path: Path) -> None:
    listed = json.loads(coinlake(tmp_path, "tables", "--json").stdout)["tables"]
    assert [row["table"] for row in listed] == list(catalog.entries())
    for name, entry in catalog.entries().items():
        done = coinlake(tmp_path, "describe", name)
        assert done.returncode == 0
        assert all(column in done.stdout for column in entry.table.columns)
        told = json.loads(coinlake(tmp_path, "describe", name, "--json").stdout)
        assert told["key"] == list(entry.table.key)


def test_doctor_ends_with_7_where_something_must_be_done(tmp_path: Path) -> None:
    log = tmp_path / "data" / "gold" / "daily" / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("no commit")
    done = coinlake(tmp_path, "doctor")
    assert done.returncode == 7
    assert "error" in done.stdout


def test_a_dry_run_prints_calls_reasons_and_credits_and_asks_nobody(tmp_path: Path) -> None:
    asked = ("ingest", "--dry-run", "--coins", "bitcoin,ethereum", "--days", "30")
    away = {"COINLAKE_API_URL": "http://127.0.0.1:9/api/v3", "COINLAKE_NOW": "2022-02-01T00:45:00Z"}
    plan = json.loads(coinlake(tmp_path, *asked, "--json", **away).stdout)
    assert plan["credits"] == len(plan["calls"]) == 6
    assert all(call["why"] and call["credits"] == 1 for call in plan["calls"])
    shown = coinlake(tmp_path, *asked, **away)
    assert shown.returncode == 0
    assert "6 calls, 6 credits." in shown.stdout
    assert all(call["why"] in shown.stdout and call["path"] in shown.stdout for call in plan["calls"])


def test_what_the_plan_cannot_reach_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    args = ("ingest", "--dry-run", "--coins", "bitcoin", "--days", "900", "--now", "2022-02-01T00:45:00Z")
    plan = json.loads(coinlake(tmp_path, *args, "--json").stdout)
    assert plan["unavailable"][0]["reason"] in coinlake(tmp_path, *args).stdout


# What asks the service -----------------------------------------------------------------------------------------------


REPLAY = {
    "COINLAKE_NOW": "2022-02-01T00:45:00Z",
    "COINLAKE_RATE": "0",
    "COINLAKE_DATASETS": "markets,history",
}


@contextmanager
def _replay(shared: Path, *args: str) -> Iterator[dict[str, str]]:
    """Real histories at the service's own paths on loopback, and the environment that points there."""
    command = [sys.executable, str(shared / "coingecko" / "replay.py"), "--port", "0", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+/api/v3", server.stdout.readline())
        try:
            assert found is not None
            yield {**REPLAY, "COINLAKE_API_URL": found[0]}
        finally:
            server.kill()


def test_a_run_tells_a_person_and_a_machine_what_it_did(shared: Path, tmp_path: Path) -> None:
    with _replay(shared) as service:
        first = coinlake(tmp_path, "run", "--top", "2", "--days", "5", **service)
        again = coinlake(tmp_path, "run", "--top", "2", "--days", "5", "--json", **service)
    assert (first.returncode, again.returncode) == (0, 0)
    assert re.search(r"^ended +ok after ", first.stdout, re.MULTILINE)
    assert "gold.daily" in first.stdout
    logged = [json.loads(line) for line in first.stderr.splitlines()]
    assert all({"severity", "message", "time"} <= set(line) for line in logged)
    assert {"ingest", "clean", "analyze"} <= {line.get("step") for line in logged}
    report = json.loads(again.stdout)
    assert (report["outcome"], report["failure"]) == ("ok", None)
    assert logged[-1]["message"] == "ended: ok"
    assert logged[-1]["run"] != report["run"]


def test_quiet_leaves_nothing_to_read_of_a_run_that_went_well(shared: Path, tmp_path: Path) -> None:
    with _replay(shared) as service:
        done = coinlake(tmp_path, "run", "-q", "--top", "1", "--days", "2", **service)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_layer_can_be_brought_up_by_itself(shared: Path, tmp_path: Path) -> None:
    with _replay(shared) as service:
        ends = [coinlake(tmp_path, "ingest", "--coins", "bitcoin", "--days", "3", **service).returncode]
    for args in (("clean",), ("analyze",), ("rebuild", "--layer", "silver"), ("rebuild", "--layer", "gold")):
        ends.append(coinlake(tmp_path, *args).returncode)
    assert ends == [0] * 5
    days = json.loads(coinlake(tmp_path, "query", "select day, close_usd from gold.daily order by 1", "--json").stdout)
    assert [row["day"] for row in days] == ["2022-01-29", "2022-01-30", "2022-01-31"]
    done = coinlake(tmp_path, "export", "--to", "out")
    assert done.returncode == 0
    assert {"market_summary.csv", "market_summary.parquet", "report.html"} <= {
        e.name for e in (tmp_path / "out").iterdir()
    }
    (tmp_path / "file").write_text("")
    done = coinlake(tmp_path, "export", "--to", "file")
    assert (done.returncode, "it is no folder that can be written" in done.stderr) == (3, True), done.stderr
    assert coinlake(tmp_path, "tidy").returncode == 0


def test_a_service_that_forbids_ends_the_run_with_its_code_and_says_what_was_done(shared: Path, tmp_path: Path) -> None:
    with _replay(shared, "--forbid", "1") as service:
        done = coinlake(tmp_path, "run", "--top", "2", **service, COINLAKE_LOG="text")
        told = coinlake(tmp_path, "run", "--top", "2", "--json", **service)
    assert done.returncode == told.returncode == 4
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("coinlake: ")
    assert re.search(r"^ended +SourceError", done.stdout, re.MULTILINE)
    report = json.loads(told.stdout)
    assert (report["error"]["exit_code"], report["outcome"]) == (4, "SourceError")


def test_ctrl_c_ends_a_run_with_130_and_the_next_run_goes_on(shared: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "coinlake", "run", "--top", "5", "--days", "5"]
    with _replay(shared, "--latency", "0.4") as service:
        running = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=_environ(tmp_path, **service),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert running.stderr is not None
        while '"step": "ingest"' not in running.stderr.readline():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
        assert running.returncode == 130
        assert INTERRUPTED in json.loads(said.splitlines()[-1])["message"]
        assert "Traceback" not in said
        assert coinlake(tmp_path, "run", "--top", "5", "--days", "5", **service).returncode == 0
    assert json.loads(coinlake(tmp_path, "query", "select count(*) as n from gold.daily", "--json").stdout) == [
        {"n": 25}
    ]

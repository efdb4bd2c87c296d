"""What every test can count on: no setting of the machine's own, and recorded material where there is some."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Generator, Iterable
from itertools import islice
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

SHARED = Path(__file__).parents[2] / "shared"

ALONE_S = 60

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

settings.register_profile("coinlake", deadline=None)  # a deadline measures the machine
settings.load_profile("coinlake")


def pytest_configure(config: pytest.Config) -> None:
    """Tests never meet the key, the lake or the clock of whoever runs them, nor how they began the tests, or Python."""
    for name in [name for name in os.environ if name.startswith("COINLAKE_") or name == "PYTHONUNBUFFERED"]:
        del os.environ[name]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a shell begins what runs in its background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        _share_bytecode(config)


def _share_bytecode(config: pytest.Config) -> None:
    """Keep compiled modules for all processes of this run: the second and later ones start in a third of the time."""
    folder = tempfile.TemporaryDirectory(prefix="coinlake-bytecode-")
    config.add_cleanup(folder.cleanup)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = folder.name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every worker begins with slow tests, the longest first: what sleeps does so while others work.

    Those of one file stay together, for they share servers and machines that are dear to start. Each worker gets the
    part that pytest-xdist's `worksteal` gives it, a run of tests of even length.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    hands: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for group in sorted(_together(items), key=_seconds_of, reverse=True):
        for item in group:
            item.add_marker("no_cover")
        min(hands, key=_seconds_of).extend(group)
    short = iter([item for item in items if not _seconds(item)])
    for number, hand in enumerate(hands):
        left = len(items) - sum(map(len, hands[:number]))
        hand += islice(short, max(0, left // (workers - number) - len(hand)))
    items[:] = [item for hand in hands for item in hand]


def _together(items: Iterable[pytest.Item]) -> list[list[pytest.Item]]:
    """The slow tests by file, and each of the slowest by itself."""
    found: dict[str, list[pytest.Item]] = {}
    for item in items:
        if _seconds(item):
            found.setdefault(item.nodeid if _seconds(item) > ALONE_S else item.nodeid.split("::")[0], []).append(item)
    return list(found.values())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Where coverage is not measured in a test, it is not in what the test starts: it would double the time."""
    setting = os.environ.pop("COVERAGE_PROCESS_CONFIG", None) if item.get_closest_marker("no_cover") else None
    result = yield
    if setting is not None:
        os.environ["COVERAGE_PROCESS_CONFIG"] = setting
    return result


def _seconds(item: pytest.Item) -> float:
    """About how long a test takes, where it is slow."""
    mark = item.get_closest_marker("slow")
    return float(mark.kwargs.get("seconds", 10)) if mark else 0.0


def _seconds_of(items: Iterable[pytest.Item]) -> float:
    return sum(map(_seconds, items))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded answers and real histories beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("../shared is absent: it holds the recorded answers that this test reads")
    return SHARED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI=true the recorded answers have to be there: a skip for want of them is a failure."""
    return _demanded((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file that skips itself as a whole."""
    return _demanded((yield))


def _demanded(report: Report) -> Report:
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    if "../shared" in reason and os.environ.get("CI") == "true":
        report.outcome, report.longrepr = "failed", f"{reason} (where CI=true that is a failure)"
    return report

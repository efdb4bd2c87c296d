"""Truths about the repository itself: its locks, its list of dependencies, and the skips it allows."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from coinlake.settings import SETTINGS

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
LOCKS = ("requirements.lock", "requirements-dev.lock")
SPARK = {"pyspark"}
"""As large as all others together: in a lock of its own, for those who ask for it."""

pytest_plugins = ["pytester"]

SKIPPED_FOR_WANT_OF_RECORDINGS = {
    "a test": 'import pytest\ndef test_it():\n    pytest.skip("../shared is absent")',
    "a file": 'import pytest\npytest.skip("../shared is absent", allow_module_level=True)',
    "a mark": 'import pytest\n@pytest.mark.skipif(True, reason="../shared is absent")\ndef test_it(): pass',
}


def project() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def names(requirements: list[str]) -> set[str]:
    """The packages that requirements name, without versions and extras."""
    return {re.split(r"[\[<>=!~ ;]", each)[0] for each in requirements} - {"coinlake"}


def direct() -> set[str]:
    """Every package that coinlake or one of its extras asks for by name."""
    asked = project()["project"]
    return names([*asked["dependencies"], *chain.from_iterable(asked["optional-dependencies"].values())])


@pytest.mark.parametrize("lock", [*LOCKS, "requirements-spark.lock", "requirements-checkov.lock"])
def test_a_lock_names_no_host_and_no_place(lock: str) -> None:
    assert not re.search(r"://|--(extra-)?index-url|--find-links|@ |^/|^-e", (ROOT / lock).read_text(), re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_direct_dependency_by_its_hash(lock: str) -> None:
    assert direct() - SPARK <= pinned(lock)


def test_spark_is_pinned_in_a_lock_of_its_own_and_by_its_hash() -> None:
    assert names(project()["project"]["dependencies"]) | SPARK <= pinned("requirements-spark.lock")


def pinned(lock: str) -> set[str]:
    """The packages that a lock pins, with a hash each."""
    found = r"^([a-z0-9-]+)==\S+(?: ;.*?)? \\\n    --hash=sha256:"
    return set(re.findall(found, (ROOT / lock).read_text(), re.MULTILINE))


def test_all_locks_pin_the_same_versions() -> None:
    runtime, dev, spark = (
        set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / lock).read_text(), re.MULTILINE))
        for lock in (*LOCKS, "requirements-spark.lock")
    )
    assert runtime <= dev
    assert {each for each in spark if not each.startswith(("pyspark=", "py4j="))} <= runtime


def test_every_direct_dependency_says_what_it_does_for_us() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    told = set(re.findall(r"^\| `([a-z0-9-]+)`", page, re.MULTILINE))
    assert told == direct() | names(project()["dependency-groups"]["dev"])


def test_the_readme_lists_every_setting_and_no_other() -> None:
    told = re.findall(r"COINLAKE_[A-Z_]+(?=`[,|` ])", (ROOT / "README.md").read_text().split("## Settings")[1])
    assert set(told) == {setting.variable for setting in SETTINGS.values()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)|src(?:set)?=\"([^\":]+)\"", page.read_text())
    assert [target for pair in linked for target in pair if target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("body", SKIPPED_FOR_WANT_OF_RECORDINGS.values(), ids=SKIPPED_FOR_WANT_OF_RECORDINGS)
def test_a_skip_for_want_of_recordings_fails_where_they_are_demanded(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text())
    pytester.makepyfile(body)
    monkeypatch.delenv("CI", raising=False)
    assert pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").parseoutcomes() == {"skipped": 1}
    monkeypatch.setenv("CI", "true")
    assert pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").ret != 0

"""Errors that name who must act. A person sees one sentence that says what to do.

CoinlakeError
├── ConfigError     fix the setting named
├── SourceError     wait, or look at the service
│   ├── WindowError     ask for a shorter history
│   ├── MissingError    the service does not know what was asked for
│   └── OutOfTimeError  the run's own deadline is too near for the call
├── QuotaError      change plan or budget
├── ContractError   look at the data
└── LakeError       look at the lake: `coinlake doctor` says how to mend it
    └── ConflictError   another writer was faster: do it again
"""

from __future__ import annotations

import re

_MOST_CHARACTERS = 160


class CoinlakeError(Exception):
    """Whatever goes wrong in a way we know; `exit_code` is what the command line ends with."""

    exit_code = 1
    report: object = None
    """What the run had done by then, where it was a run."""


class ConfigError(CoinlakeError):
    """A setting or an argument is wrong: the sentence names it and says what it should be."""

    exit_code = 3


class SourceError(CoinlakeError):
    """The service did not answer as it should: waiting helps, or another network."""

    exit_code = 4


class WindowError(SourceError):
    """The plan does not reach that far into the past: ask for a shorter history."""


class MissingError(SourceError):
    """The service does not know the coin that was asked for."""


class OutOfTimeError(SourceError):
    """The run's own deadline is too near for the call: the next run makes it."""


class QuotaError(CoinlakeError):
    """The plan or the budget does not allow it: change one of them."""

    exit_code = 5


class ContractError(CoinlakeError):
    """Rows break what their table promises, so nothing was written: look at the data."""

    exit_code = 6

    def __init__(self, table: str, problem: str) -> None:
        super().__init__(f"{table}: {problem}")
        self.table = table
        self.problem = problem

    def __reduce__(self) -> tuple[type[ContractError], tuple[str, str]]:
        """How it comes from another process: an exception is made again of its sentence alone, elsewise."""
        return ContractError, (self.table, self.problem)


class LakeError(CoinlakeError):
    """The lake cannot be read or written as it stands."""

    exit_code = 7


class ConflictError(LakeError):
    """Another writer changed the table meanwhile; its work stands, ours was not written."""


def brief(error: BaseException | str) -> str:
    """What a foreign exception or process says, in one line: without a native backtrace, colours or a picture of the
    question.
    """
    said = re.split(r"\n\s*(?:\d+: |\n)", str(error).strip())[0]
    line = " ".join(re.sub(r"\x1b\[[0-9;]*m|↳", " ", said).split())
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}…"


def was_interrupted(error: BaseException) -> bool:
    """Whether an exception is Ctrl-C, as Python says it or as DuckDB does: in words of its own, by whoever reads it."""
    said = "query interrupted" in str(error).lower()
    return isinstance(error, KeyboardInterrupt) or type(error).__name__ == "InterruptException" or said

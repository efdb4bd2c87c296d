"""Where the lake of a test may lie: a folder, the Cloud Storage of `storage.py`, and a second one by another hand."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers import closed_port
from storage import options

KINDS = ("folder", "cloud", pytest.param("fake_gcs", marks=pytest.mark.slow))


@dataclass(frozen=True)
class Store:
    """A place for roots: the address they begin with, and the options of its clients."""

    root: str
    options: Mapping[str, str]


@contextmanager
def cloud(*flags: str) -> Iterator[Store]:
    """Our own, in a process of its own; `"--faults", "0.1"` lets it fail."""
    with _serving(Path(__file__).parent / "storage.py", "lake", *flags) as url:
        yield Store("gs://lake", options(url))


@contextmanager
def fake_gcs(shared: Path) -> Iterator[Store]:
    """fake-gcs-server behind an XML door; Go builds it once."""
    if shutil.which("go") is None:
        pytest.skip("there is no Go on this machine to build fake-gcs-server with")
    with Path(tempfile.gettempdir(), f"fake-gcs-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would build it at the same place, and take the same port
        flags = ("--port", str(closed_port()), "--bucket", "lake")
        with _serving(shared / "gcp" / "fake_gcs.py", *flags, tries=6) as url:
            fcntl.flock(lock, fcntl.LOCK_UN)
            yield Store("gs://lake", options(url))


@contextmanager
def _serving(program: Path, *words: str, tries: int = 1) -> Iterator[str]:
    """A server until the end of this. One that gives up when it has not started within seconds is `tries` times begun:
    on a busy machine it takes longer.
    """
    for left in reversed(range(tries)):
        process = subprocess.Popen([sys.executable, str(program), *words], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = process.stdout.readline()
        if "http://" in said:
            break
        process.terminate()
        process.wait(20)
        assert left, f"{program.name} did not start: {said!r}"
    try:
        yield said.split()[-1]
    finally:
        process.terminate()

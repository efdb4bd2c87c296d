"""What is made once for all of xdist's workers, and only read after that."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder of that name, filled by `make`: by the first worker that asks for it, while the others wait for it.

    Where that fails the next one tries it anew, in a folder of its own.
    """
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (base / f"once-{name}.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if not (made := lock.read()):
            made = str(factory.mktemp(name))
            make(Path(made))
            lock.write(made)
    return Path(made)


def once_said(factory: pytest.TempPathFactory, name: str, say: Callable[[], Any]) -> Any:
    """What is said in JSON, by the first worker that asks."""
    folder = once(factory, name, lambda made: (made / "said.json").write_text(json.dumps(say())))
    return json.loads((folder / "said.json").read_text())

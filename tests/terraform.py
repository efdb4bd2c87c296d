"""Terraform on a copy of infra/, with providers that know the schema of Google's and reach nobody."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

INFRA = Path(__file__).parents[1] / "infra"
PROJECT = {"project_id": "a-project", "project_number": "210987654321"}

# Waiting for Google to notice is pointless where there is no Google.
_NO_WAITING = 'resource "time_sleep" "{name}" {{\n  create_duration = "0s"\n}}\n'


def offline(shared: Path) -> dict[str, str]:
    """The environment of a Terraform that finds its providers on this machine; made once a machine, in a minute."""
    for tool in ("terraform", "go"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is absent: it is needed to plan infra/ offline")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coinlake"
    # By what is in infra/, for the providers are made for the types that it names, and by what makes them: so they are
    # made once, and never under the hands of another checkout's tests.
    named = sorted(set(re.findall(r'"(google_\w+)"', "".join(each.read_text() for each in INFRA.rglob("*.tf")))))
    made_by = [each.read_text() for each in sorted((shared / "gcp").glob("*.py"))]
    into = cache / "terraform" / hashlib.sha256("\n".join([*named, *made_by]).encode()).hexdigest()[:16]
    into.mkdir(parents=True, exist_ok=True)
    with (into / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (into / "terraform.rc").is_file():  # the last that is written
            script = [sys.executable, shared / "gcp" / "offline_google.py", "--root", INFRA, "--into", into]
            made = subprocess.run([*map(str, script)], capture_output=True, text=True)
            assert made.returncode == 0, made.stderr
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return {**environ, "TF_CLI_CONFIG_FILE": str(into / "terraform.rc"), "CHECKPOINT_DISABLE": "1"}


@dataclass(frozen=True)
class Root:
    """A copy of infra/ in a folder of its own, with nothing beside it but dist/."""

    folder: Path
    environ: Mapping[str, str]

    @staticmethod
    def copied(to: Path, environ: Mapping[str, str], bundle: bool = True) -> Root:
        """Copy infra/ below `to`, initialised; with a bundle beside it, or without."""
        keep_out = shutil.ignore_patterns(".terraform*", "*.tfstate*", "backend.tf")
        shutil.copytree(INFRA, to / "infra", ignore=keep_out)
        waits = re.findall(r'resource "time_sleep" "(\w+)"', "".join(each.read_text() for each in INFRA.glob("*.tf")))
        (to / "infra" / "no_waiting_override.tf").write_text("".join(_NO_WAITING.format(name=name) for name in waits))
        if bundle:
            (to / "dist").mkdir()
            (to / "dist" / "coinlake-functions.zip").write_bytes(b"PK\x05\x06" + bytes(18))
        root = Root(to / "infra", environ)
        root("init", "-input=false")
        return root

    def __call__(self, *words: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        """Say something to Terraform; unless it may fail, it must not."""
        done = subprocess.run(
            ["terraform", f"-chdir={self.folder}", *words], env=dict(self.environ), capture_output=True, text=True
        )
        assert fails or done.returncode == 0, done.stdout + done.stderr
        return done

    def plan(self, **variables: Any) -> dict[str, Any]:
        """What a plan says, as `terraform show -json` tells it."""
        given = {**PROJECT, **variables}
        words = [
            f"-var={name}={json.dumps(value) if not isinstance(value, str) else value}" for name, value in given.items()
        ]
        self("plan", "-input=false", "-out=plan", *words)
        return dict(json.loads(self("show", "-json", "plan").stdout))


def resources(plan: Mapping[str, Any], kind: str = "") -> dict[str, dict[str, Any]]:
    """Every planned resource whose address begins with `kind`: address to values."""
    found = plan["planned_values"]["root_module"]["resources"]
    return {each["address"]: each["values"] for each in found if each["address"].startswith(kind)}

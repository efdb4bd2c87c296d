"""Writes `dist/coinlake-functions.zip`, from which Google Cloud builds all three functions: `make bundle`.

In it: each function's main.py, one at the root that has all three, requirements.txt with a hash for everything, and
coinlake's own wheel. The same source gives the same bytes, wherever and with whichever Python it is made: dates are
fixed and nothing is compressed. Of a git clone the wheel holds what git tracks, as it lies there; of a bare copy, what
has the name of source. Backups and trials that lie beside go nowhere.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
LAYERS = {"bronze": "bronze_ingest", "silver": "silver_process", "gold": "gold_analyze"}
MAIN = f'''"""All three functions, for whoever does not say which main.py is meant."""

from coinlake.functions import {", ".join(sorted(LAYERS.values()))}

__all__ = [{", ".join(f'"{name}"' for name in sorted(LAYERS.values()))}]
'''
SOURCE = frozenset({".py", ".svg", ".toml", ".typed"})
"""How the names end of what the wheel is made of."""
_PINNED = re.compile(r"^([a-z0-9._-]+)==.*(?:\n[ #].*)*", re.MULTILINE)


def bundle(root: Path) -> bytes:
    """The zip of a source tree."""
    wheel, data = _wheel(root)
    pin = f"./vendor/{wheel} \\\n    --hash=sha256:{hashlib.sha256(data).hexdigest()}\n"
    files = {
        "main.py": MAIN.encode(),
        "requirements.txt": (requirements(root) + pin).encode(),
        f"vendor/{wheel}": data,
    }
    for layer in LAYERS:
        path = f"src/cloud_functions/{layer}/main.py"
        files[path] = (root / path).read_bytes()
    return _zipped(files)


def requirements(root: Path) -> str:
    """What the functions need, out of the lock: coinlake's own dependencies and its extra `functions`, and theirs."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["functions"]]
    needed = {re.split(r"[\[<>=!~ ;]", each)[0] for each in asked}
    # A package may be there twice, for older and for newer Pythons; below each block the lock says who asked for it.
    blocks = [(found[1], found[0]) for found in _PINNED.finditer((root / "requirements.lock").read_text())]
    askers = [(name, set(re.findall(r"^ +#(?: via)? +([a-z0-9._-]+)", block, re.MULTILINE))) for name, block in blocks]
    while more := {name for name, by in askers if name not in needed and by & needed}:
        needed |= more
    kept = (re.sub(r"\n +#.*", "", block) for name, block in blocks if name in needed)
    return "".join(f"{each}\n" for each in kept)


def sources(root: Path) -> list[str]:
    """The files of the package, as paths below the tree; says so where git does not know one that looks like source."""
    folder = root / "src" / "coinlake"
    there = sorted(str(path.relative_to(root)) for path in folder.rglob("*") if path.suffix in SOURCE)
    asked = ["git", "-C", str(root), "ls-files", "-z", "--", "src/coinlake"]
    listed = subprocess.run(asked, capture_output=True, check=False).stdout if shutil.which("git") else b""
    tracked = {path for path in listed.decode().split("\0") if path}
    if not tracked:  # a bare copy
        return there
    for path in (path for path in there if path not in tracked):
        print(f"{path} is not in git, so it is not in the bundle", file=sys.stderr)
    return [path for path in there if path in tracked]


def _wheel(root: Path) -> tuple[str, bytes]:
    """Name and bytes of coinlake's wheel."""
    with TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        for path in ("pyproject.toml", "README.md", "LICENSE", *sources(root)):
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, tree / path)
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        subprocess.run(command, cwd=tree, check=True, capture_output=True)
        (built,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(built) as wheel:
            return built.name, _zipped({name: wheel.read(name) for name in wheel.namelist()})


def _zipped(files: Mapping[str, bytes]) -> bytes:
    """Files as a zip that holds nothing of when, where and by whom it was made."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            about = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            about.external_attr = 0o644 << 16
            archive.writestr(about, data)
    return whole.getvalue()


if __name__ == "__main__":
    made = bundle(ROOT)
    (ROOT / "dist").mkdir(exist_ok=True)
    (ROOT / "dist" / "coinlake-functions.zip").write_bytes(made)
    print(f"dist/coinlake-functions.zip, {len(made) / 1e6:.1f} MB, sha256 {hashlib.sha256(made).hexdigest()}")

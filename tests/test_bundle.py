"""The bundle: the same bytes wherever it is made, nothing heavy in it, and it starts where there is nothing else."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from once import once
from servers import closed_port

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "src" / "cloud_functions" / "bundle.py"
HEAVY = {"pandas", "pyarrow", "polars", "streamlit", "plotly", "matplotlib", "altair", "grpcio"}
FUNCTIONS = {"bronze": "bronze_ingest", "silver": "silver_process", "gold": "gold_analyze"}


def made_in(folder: Path) -> bytes:
    """The bundle of a copy of the source."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.lock", ".gitignore"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignored)
    program = folder / "src" / "cloud_functions" / "bundle.py"
    subprocess.run([sys.executable, str(program)], check=True, capture_output=True, cwd=folder.parent)
    return (folder / "dist" / "coinlake-functions.zip").read_bytes()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    made_at = once(tmp_path_factory, "bundle", lambda folder: made_in(folder / "tree"))
    return (made_at / "tree" / "dist" / "coinlake-functions.zip").read_bytes()


def test_made_twice_in_two_folders_it_is_the_same(made: bytes, tmp_path: Path) -> None:
    other = made_in(tmp_path / "elsewhere" / "another name")
    assert hashlib.sha256(other).hexdigest() == hashlib.sha256(made).hexdigest()


@pytest.mark.parametrize("is_clone", [True, False])
def test_what_lies_beside_the_source_is_not_in_it(made: bytes, tmp_path: Path, is_clone: bool) -> None:
    copied = tmp_path / "tree"
    made_in(copied)
    package = copied / "src" / "coinlake"
    for name in ("functions.py~", "functions.py.orig", ".functions.py.swp", "notes.txt"):
        (package / name).write_text("raise SystemExit\n")
    if is_clone:
        for words in (["init", "-q"], ["add", "src/coinlake/*.py", "src/coinlake/*.typed", "src/coinlake/dashboard"]):
            subprocess.run(["git", *words], cwd=copied, check=True)
        (package / "trial.py").write_text("raise SystemExit\n")
    done = subprocess.run(
        [sys.executable, str(copied / "src/cloud_functions/bundle.py")], check=True, capture_output=True
    )
    again = (copied / "dist" / "coinlake-functions.zip").read_bytes()
    assert hashlib.sha256(again).hexdigest() == hashlib.sha256(made).hexdigest()
    assert (b"src/coinlake/trial.py is not in git" in done.stderr) == is_clone


def test_every_requirement_has_a_hash_and_nothing_is_heavy_or_from_a_named_host(made: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(made)) as bundle:
        asked = bundle.read("requirements.txt").decode()
        names = set(re.findall(r"^([a-z0-9._-]+)==", asked, re.MULTILINE))
        blocks = re.split(r"\n(?! )", asked.strip())
        assert all("--hash=sha256:" in block for block in blocks)
        assert {"duckdb", "deltalake", "obstore", "functions-framework"} <= names
        assert names & HEAVY == set()
        assert [name for name in names if name.startswith("google")] == []
        assert "://" not in asked
        (wheel,) = [name for name in bundle.namelist() if name.endswith(".whl")]
        assert f"./{wheel} \\\n    --hash=sha256:{hashlib.sha256(bundle.read(wheel)).hexdigest()}" in asked


def working(wanted: str, home: Path) -> str | None:
    """A Python of a version that starts: the one on the path (perhaps a shim that does not), else one of pyenv's."""
    installed = sorted(str(path) for path in (home / ".pyenv" / "versions").glob(f"{wanted}*/bin/python"))
    for python in [shutil.which(f"python{wanted}"), *installed]:
        if python and version(python).startswith(f"{wanted}."):
            return python
    return None


def version(python: str) -> str:
    """What a Python says it is; nothing where it does not start."""
    done = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.removeprefix("Python ").strip() if done.returncode == 0 else ""


WANTED = "3.13"
"""The Python that Google Cloud is told to run."""
FOUND = working(WANTED, Path.home()) or (sys.executable if os.environ.get("CI") == "true" else None)
"""It, or in CI, which has one Python a job, the one that runs the tests; the tests' names say which it was."""
on_python = pytest.mark.parametrize(
    "installed", [FOUND], ids=[f"python-{version(FOUND)}" if FOUND else f"no-python-{WANTED}"], indirect=True
)


def test_a_python_that_does_not_start_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim, real = tmp_path / "shims" / "python3.99", tmp_path / ".pyenv" / "versions" / "3.99.1" / "bin" / "python"
    for path, said in (
        (shim, "echo 'pyenv: python3.99: command not found' >&2; exit 127"),
        (real, "echo Python 3.99.1"),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{said}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    assert working("3.99", tmp_path) == str(real)
    assert working("3.99", tmp_path / "elsewhere") is None


def install(python: str, folder: Path) -> None:
    """Install as the buildpack does, by uv (which does not read pip's settings) where it is at hand, else by pip."""
    subprocess.run([python, "-m", "venv", str(folder / ".venv")], check=True)
    python, uv = str(folder / ".venv/bin/python"), Path(sys.executable).parent / "uv"
    asked = ["install", "--quiet", "--require-hashes", "-r", "requirements.txt"]
    if not uv.exists():
        subprocess.run([python, "-m", "pip", *asked, "--no-compile"], cwd=folder, check=True)
        return
    told = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    index = os.environ.get("PIP_INDEX_URL") or subprocess.run(told, capture_output=True, text=True, check=False).stdout
    environ = {**os.environ, **({"UV_DEFAULT_INDEX": index.strip()} if index.strip() else {})}
    subprocess.run([str(uv), "pip", *asked, "--python", python], cwd=folder, env=environ, check=True)


@pytest.fixture(scope="module")
def installed(request: pytest.FixtureRequest, made: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bundle in a folder of its own, and its requirements in an environment that holds nothing else."""
    if request.param is None:
        pytest.skip(f"no Python {WANTED} starts here, neither on the path nor below ~/.pyenv/versions")
    folder = tmp_path_factory.mktemp("app")
    with zipfile.ZipFile(io.BytesIO(made)) as bundle:
        bundle.extractall(folder)
    install(request.param, folder)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@on_python
@pytest.mark.parametrize("layer", FUNCTIONS)
def test_each_function_starts_in_a_clean_environment_and_loads_nothing_heavy(installed: Path, layer: str) -> None:
    port = closed_port()
    source = installed / "src" / "cloud_functions" / layer / "main.py"
    environ = {"PATH": os.environ["PATH"], "FUNCTION_SOURCE": str(source), "FUNCTION_TARGET": FUNCTIONS[layer]}
    command = [str(installed / ".venv/bin/functions-framework"), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, env=environ, cwd=installed, stderr=subprocess.PIPE, text=True) as process:
        try:
            status = _posted(f"http://127.0.0.1:{port}/", b"no event, and no JSON")
        finally:
            process.terminate()
    assert status == (400 if layer == "bronze" else 204)


@pytest.mark.slow
@on_python
def test_what_an_entry_point_loads_where_only_its_requirements_are(installed: Path) -> None:
    code = (
        "import sys; from coinlake.functions import silver_process; import coinlake.wiring, coinlake.catalog; "
        "coinlake.catalog.entries(); print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([str(installed / ".venv/bin/python"), "-c", code], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) & (HEAVY | {"rich", "typer"}) == set()


def _posted(url: str, body: bytes) -> int:
    for _ in range(200):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=30) as said:
                return int(said.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            time.sleep(0.1)
    raise AssertionError("it does not listen")

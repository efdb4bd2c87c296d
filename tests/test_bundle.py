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
    return made_in(tmp_path_factory.mktemp("one") / "tree")


def test_made_twice_in_two_folders_it_is_the_same(made: bytes, tmp_path: Path) -> None:
    other = made_in(tmp_path / "elsewhere" / "another name")
    assert hashlib.sha256(other).hexdigest() == hashlib.sha256(made).hexdigest()


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


def newest_python() -> str:
    """Python 3.13, which Google Cloud is told to run; where it is not on this machine, whatever runs the tests."""
    found = shutil.which("python3.13")
    works = found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0
    return found if found and works else sys.executable


def install(folder: Path) -> None:
    """Install as the buildpack does, by uv (which does not read pip's settings) where it is at hand, else by pip."""
    subprocess.run([newest_python(), "-m", "venv", str(folder / ".venv")], check=True)
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
def installed(made: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bundle in a folder of its own, and its requirements in an environment that holds nothing else."""
    folder = tmp_path_factory.mktemp("app")
    with zipfile.ZipFile(io.BytesIO(made)) as bundle:
        bundle.extractall(folder)
    install(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
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

"""The library opens what is there, and says so where nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

import coinlake
from coinlake.errors import ConfigError


def test_where_no_lake_is_the_library_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "other" / "things").mkdir(parents=True)
    for name in ("nowhere", "file", "other"):
        with pytest.raises(ConfigError, match=f"there is no lake in .*{name}"):
            coinlake.open(str(tmp_path / name))
    assert {each.name for each in tmp_path.iterdir()} == {"file", "other"}


@pytest.mark.parametrize("root", ["gs://", "gs:bucket", "gs:///x", "s3://bucket/lake"])
def test_what_is_no_place_for_a_lake_is_refused(root: str) -> None:
    with pytest.raises(ConfigError, match="no place for a lake"):
        coinlake.open(root)


def test_a_lake_that_is_empty_is_one(tmp_path: Path) -> None:
    assert coinlake.open(str(tmp_path)).table("gold.daily").to_arrow().num_rows == 0
    (tmp_path / "bronze").mkdir()
    assert coinlake.open(f"file://{tmp_path}").table("gold.daily").to_arrow().num_rows == 0
    assert coinlake.open("gs://bucket/lake").lake.gold == "gs://bucket/lake/gold"


@pytest.mark.parametrize("moment", ["0001-01-01", "2262-04-12", "9999-12-31T23:59:59-05:00"])
def test_a_moment_nobody_can_know_of_is_refused(moment: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="from 1970-01-01 to 2262-01-01"):
        coinlake.open(str(tmp_path)).table("gold.daily", as_of=moment)

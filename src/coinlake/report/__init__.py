"""The market on one page: a single HTML file that opens anywhere, without a network, and says what it does not know.

`rows.py` and `chances.py` read gold, `page.py` makes text of it and knows no clock, `figures.py` draws, `words.py`
speaks.
"""

from __future__ import annotations

from coinlake.lake import Lake
from coinlake.report.page import page
from coinlake.report.rows import READS, read

__all__ = ["FORM", "NAME", "READS", "report"]

NAME = "report.html"
FORM = 4
"""Raised when the page looks different: reports of an older form are written anew."""


def report(lake: Lake) -> str:
    """The report on a lake as HTML; tables that are empty or missing leave gaps that say so."""
    return page(read(lake))

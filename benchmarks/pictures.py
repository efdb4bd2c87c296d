"""The pictures of the README, taken of a simulated market: `python benchmarks/pictures.py [GOLD]`.

Without a gold root a lake of 250 coins and three years is made for it, in about a minute. The pictures go to
docs/images/.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pages import browser, filled, served, settled  # noqa: E402

TO = ROOT / "docs" / "images"
SIZE = {"width": 1440, "height": 900}
PICTURES = {
    "market": ("", "dark"),
    "coin": ("coin?coin=sim-bitcoin", "light"),
    "lab": ("lab?rule=golden_cross&held=sim-bitcoin,sim-ethereum,sim-solana", "dark"),
}
"""Path and theme of each."""


def main() -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory() as folder:
        gold = sys.argv[1] if len(sys.argv) > 1 else filled(Path(folder))
        with browser() as chrome, served(gold, folder=Path(folder)) as address:
            for name, (path, theme) in PICTURES.items():
                context = chrome.new_context(viewport=SIZE, color_scheme=theme)
                page = context.new_page()
                page.goto(f"{address}/{path}")
                settled(page)
                time.sleep(2)  # figures fade in
                page.screenshot(path=TO / f"{name}.png")
                context.close()


if __name__ == "__main__":
    main()

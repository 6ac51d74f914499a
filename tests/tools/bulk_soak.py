"""Run `bulk_show.py` with many items and kills, and then without kills. Print what came of it.

`make soak` does this: python -m tests.tools.bulk_soak --items 20000 --kills 40
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.tools.bulk_checks import SHARE, check_killed, check_undisturbed
from tests.tools.bulk_show import curve, make_pictures, run


def main() -> None:
    parser = argparse.ArgumentParser(description="Show that a bulk run survives.")
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    arguments = parser.parse_args()
    timeout = 120 + arguments.items * 0.12 + arguments.kills * 10
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        make_pictures(pictures, arguments.items)
        options = {"rows_per_shard": max(arguments.items // 10, 1), "timeout": timeout}
        for kills in (arguments.kills, 0):
            there = Path(folder) / f"{kills} kills"
            there.mkdir()
            shown = run(pictures, there, kills, seed=arguments.seed, **options)
            if kills:
                words = check_killed(pictures, shown)
            else:
                share, words = check_undisturbed(pictures, shown)
                assert share >= SHARE, words
            print(f"{arguments.items:,} items, {kills} kills: {words}")
            print(curve(shown.samples), flush=True)


if __name__ == "__main__":
    main()

"""Fuzz the decoder: `python fuzz/run.py --seconds 60`, or `make fuzz SECONDS=60`. A crash found is
run again with `--replay FILE`.

What it has learnt stays in fuzz/.corpus, what it found in fuzz/crashes; neither is kept in git. A
crash that was a bug is worth a test of its own beside the mended code, and, where it would be hard
to reach again, a seed in make_corpus.py."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)

from fuzz.harness import HARNESSES, describe  # noqa: E402

CRASHES = HERE / "crashes"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each harness (60)")
    parser.add_argument(
        "--harness",
        choices=[*HARNESSES],
        action="append",
        help="only this one; may be given several times",
    )
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="FILE",
        help="run one case again, without atheris, and say what it is",
    )
    given = parser.parse_args()
    names: list[str] = given.harness or [*HARNESSES]
    if given.replay is not None:
        return replay(given.replay, names)
    if importlib.util.find_spec("atheris") is None:
        print(
            "Fuzzing needs atheris: pip install --group fuzz (pip 25.1 or newer), or `make fuzz`.",
            file=sys.stderr,
        )
        return 2
    failed = [name for name in names if not fuzz(name, given.seconds)]
    return 1 if failed else 0


def command(
    name: str, seconds: int, learnt: Path, artifacts: str, folder: Path = HERE
) -> list[str]:
    """How one harness is run: libFuzzer's options, the corpus it adds to, and the seeds."""
    options = [
        f"-max_total_time={seconds}",
        "-max_len=1024",
        "-verbosity=0",
        "-print_final_stats=1",
        "-timeout=60",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={artifacts}",
    ]
    return [
        sys.executable,
        str(folder / f"fuzz_{name}.py"),
        *options,
        str(learnt),
        str(folder / "corpus" / name),
    ]


def fuzz(name: str, seconds: int) -> bool:
    """Run one harness for so long; whether it found nothing."""
    learnt = HERE / ".corpus" / name
    learnt.mkdir(parents=True, exist_ok=True)
    CRASHES.mkdir(exist_ok=True)
    before = {*CRASHES.iterdir()}
    print(f"fuzzing {name} for {seconds} s", flush=True)
    code = subprocess.run(command(name, seconds, learnt, f"{CRASHES}/{name}-")).returncode
    found = sorted({*CRASHES.iterdir()} - before)
    for path in found:
        print(
            f"{name} found a bug. To run it again: python fuzz/run.py --replay {os.path.relpath(path)}"
        )
    if code == 0:
        print(f"{name}: nothing found in {seconds} s")
    elif not found:
        print(f"{name}: atheris ended with {code}, and left no case behind")
    return code == 0


def replay(path: Path, names: list[str]) -> int:
    """Run one case again under the harness that its file name begins with, or under `names`."""
    data = path.read_bytes()
    for name in [name for name in names if path.name.startswith(name)] or names:
        print(f"--- {name}: {describe(name, data)}")
        try:
            HARNESSES[name](data)
        except Exception:  # noqa: BLE001
            traceback.print_exc()
            return 1
        print("--- as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())

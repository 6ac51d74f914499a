"""Plant each bug of fuzz/bugs in a copy of the package, and look how soon the harnesses find it.

    python fuzz/find_bugs.py [--seconds 300] [--jobs 2] [NAME ...]

Prints a table. A case that is found is run against the package as it is, too, where it has to pass:
else it is no planted bug that was found, but a real one. Exits with 1 if a bug is not found in
time, or its patch no longer applies (see make_bugs.py)."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from fuzz.run import command  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=300, help="for each bug and harness (300)")
    parser.add_argument("--jobs", type=int, default=1, help="how many at once (1)")
    parser.add_argument("--harness", choices=["records", "stream", "socket"], help="only this one")
    parser.add_argument(
        "--no-seeds",
        action="store_true",
        help="begin with nothing, to see what the fuzzer finds by itself",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these bugs")
    given = parser.parse_args()
    patches = [
        path
        for path in sorted((HERE / "bugs").glob("*.patch"))
        if not given.names or path.stem in given.names
    ]
    pairs = [
        (path, name)
        for path in patches
        for name in harnesses(path)
        if given.harness in (None, name)
    ]
    print(f"{'bug':28}{'harness':10}{'seconds':>8}  found", flush=True)
    with ThreadPoolExecutor(given.jobs) as pool:
        return (
            0
            if all(
                [
                    *pool.map(
                        lambda pair: look(pair[0], pair[1], given.seconds, not given.no_seeds),
                        pairs,
                    )
                ]
            )
            else 1
        )


def harnesses(path: Path) -> list[str]:
    """Which harnesses have to find the bug: the patch says it."""
    said = re.search(r"^Harness: (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return [] if said is None else said[1].split(", ")


def look(path: Path, name: str, seconds: int, with_seeds: bool = True) -> bool:
    """Plant one bug and fuzz until it is found."""
    with tempfile.TemporaryDirectory() as folder:
        copy = plant(path, Path(folder))
        began = time.monotonic()
        if copy is None:
            outcome = "NO: the patch no longer applies"
        else:
            learnt = copy / "learnt"
            learnt.mkdir()
            if not with_seeds:
                shutil.rmtree(copy / "fuzz" / "corpus" / name)
                (copy / "fuzz" / "corpus" / name).mkdir()
            args = command(name, seconds, learnt, f"{copy}/{name}-", copy / "fuzz")
            ran = subprocess.run(args, cwd=copy, capture_output=True, text=True)
            outcome = verdict(
                ran.returncode, ran.stderr + ran.stdout, [*copy.glob(f"{name}-*")], name
            )
        print(f"{path.stem:28}{name:10}{time.monotonic() - began:8.1f}  {outcome}", flush=True)
        return outcome == "yes"


def plant(path: Path, folder: Path) -> Path | None:
    """A copy of the package and of the harnesses with the bug in it;

    None if the patch does not apply.
    """
    ignored = shutil.ignore_patterns("__pycache__", "crashes", ".corpus")
    for part in ("sansio_moondream", "fuzz"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    applied = subprocess.run(
        ["git", "apply", str(path)], cwd=folder, capture_output=True, text=True
    )
    if applied.returncode:
        print(applied.stderr, end="", file=sys.stderr)
        return None
    return folder


def verdict(code: int, said: str, cases: list[Path], name: str) -> str:
    if code == 0:
        return "NO"
    if not cases:
        return f"NO: atheris ended with {code}: {said[-500:]}"
    replay = [sys.executable, str(HERE / "run.py"), "--harness", name, "--replay", str(cases[0])]
    again = subprocess.run(replay, capture_output=True, text=True)
    return (
        "yes"
        if again.returncode == 0
        else f"NO: the package as it is fails too: {again.stderr[:500]}"
    )


if __name__ == "__main__":
    sys.exit(main())

"""Fuzz the decoder with atheris: `python fuzz/run.py --seconds 60`, or `make fuzz SECONDS=60`.

A crash is run again with `--replay FILE`. Interesting inputs stay in fuzz/.corpus and crashes in
fuzz/crashes. Neither is kept in git: a crash that was a bug becomes a test of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import subprocess
import sys
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)

NAMES = ("stream", "socket", "request")
MAX_BYTES = 8192  # of an input: Hypothesis reads no more
OPTIONS = ("-len_control=0", "-verbosity=0", "-print_final_stats=1", "-timeout=60")


def main() -> int:
    """Fuzz, or run a crash again. Return the exit code of the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each harness (60)")
    parser.add_argument("--harness", choices=NAMES, help="only this one")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run a crash without atheris")
    parser.add_argument("--atheris", nargs="...", help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = NAMES if given.harness is None else (given.harness,)
    if given.replay is not None:
        return replay(given.replay, names)
    if importlib.util.find_spec("atheris") is None:
        print("Fuzzing needs atheris: run `make fuzz`, or install the group fuzz", file=sys.stderr)
        return 2
    if given.atheris is not None:
        run_atheris(names[0], given.atheris)
    found_nothing = [fuzz(name, given.seconds) for name in names]
    return 0 if all(found_nothing) else 1


def fuzz(name: str, seconds: int) -> bool:
    """Run one harness in a process of its own. Return whether it found nothing."""
    corpus, crashes = HERE / ".corpus" / name, HERE / "crashes"
    corpus.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(exist_ok=True)
    rng = random.Random(name)
    for number in range(32):  # an input that is too short is no case, so libFuzzer needs long ones
        (corpus / f"random-{number}").write_bytes(rng.randbytes(MAX_BYTES))
    before = {*crashes.iterdir()}
    print(f"fuzzing {name} for {seconds} s", flush=True)
    bounds = [f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}"]
    options = [*bounds, *OPTIONS, f"-artifact_prefix={crashes}/{name}-", str(corpus)]
    command = [sys.executable, __file__, "--harness", name, "--atheris", *options]
    code = subprocess.run(command).returncode
    for path in sorted({*crashes.iterdir()} - before):
        print(f"{name} found a bug. To run it again: python fuzz/run.py --replay {path}")
    print(f"{name}: {'nothing found' if code == 0 else f'atheris ended with {code}'}")
    return code == 0


def run_atheris(name: str, options: list[str]) -> None:
    """Run one harness under atheris. Does not return."""
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

    with atheris.instrument_imports(
        include=["sansio_moondream", "h11"], exclude=["sansio_moondream.testing"]
    ):
        from fuzz.harnesses import HARNESSES, use_fuzzing_settings
    use_fuzzing_settings()
    atheris.Setup([__file__, *options], HARNESSES[name].hypothesis.fuzz_one_input)
    atheris.Fuzz()


def replay(path: Path, names: tuple[str, ...]) -> int:
    """Run a crash again under the harness that its name begins with, or under all of them."""
    from fuzz.harnesses import HARNESSES, use_fuzzing_settings

    use_fuzzing_settings()
    for name in [name for name in names if path.name.startswith(name)] or names:
        try:
            HARNESSES[name].hypothesis.fuzz_one_input(path.read_bytes())
        except Exception:  # noqa: BLE001
            traceback.print_exc()
            return 1
        print(f"{name}: nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())

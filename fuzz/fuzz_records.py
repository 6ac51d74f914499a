"""The record layer under atheris.

`run.py` starts it; alone it takes libFuzzer's options: `python fuzz/fuzz_records.py -help=1`.
"""

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]

sys.path[0] = str(Path(__file__).resolve().parents[1])
with atheris.instrument_imports(include=["sansio_moondream"]):
    from fuzz.harness import check_records, mutate


def custom_mutator(data: bytes, max_size: int, seed: int) -> bytes:
    """Now and then with the cases' form in mind, else as libFuzzer does."""
    return mutate("records", data, seed)[:max_size] or atheris.Mutate(data, max_size)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check_records, custom_mutator=custom_mutator)
    atheris.Fuzz()

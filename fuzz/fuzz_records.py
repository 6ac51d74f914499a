"""The record layer under atheris. `run.py` starts it; alone it takes libFuzzer's options: `python fuzz/fuzz_records.py -help=1`."""

import sys
from pathlib import Path

import atheris

sys.path[0] = str(Path(__file__).resolve().parents[1])
with atheris.instrument_imports(include=["sansio_moondream"]):
    from fuzz.harness import check_records

if __name__ == "__main__":
    atheris.Setup(sys.argv, check_records)
    atheris.Fuzz()

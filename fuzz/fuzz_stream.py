"""`ResponseStream` under atheris. `run.py` starts it; alone it takes libFuzzer's options: `python fuzz/fuzz_stream.py -help=1`."""

import sys
from pathlib import Path

import atheris

sys.path[0] = str(Path(__file__).resolve().parents[1])
with atheris.instrument_imports(include=["sansio_moondream"]):
    from fuzz.harness import check_stream

if __name__ == "__main__":
    atheris.Setup(sys.argv, check_stream)
    atheris.Fuzz()

"""`HTTP11Exchange` and `SocketStream` under atheris.

`run.py` starts it; alone it takes libFuzzer's options, as `-help=1`.
"""

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]

sys.path[0] = str(Path(__file__).resolve().parents[1])
with atheris.instrument_imports(include=["sansio_moondream", "h11"]):
    from fuzz.harness import check_socket, mutate


def custom_mutator(data: bytes, max_size: int, seed: int) -> bytes:
    """Now and then with the cases' form in mind, else as libFuzzer does."""
    return mutate("socket", data, seed)[:max_size] or atheris.Mutate(data, max_size)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check_socket, custom_mutator=custom_mutator)
    atheris.Fuzz()

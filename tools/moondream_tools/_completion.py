"""`moondream-stream completion`: programs for shells, made of the parser by shtab (extra `cli`).

A shell completes with this text alone. It does not start Python for each press of a key.
"""

from __future__ import annotations

from ._arguments import make_parser
from ._client_arguments import UsageError
from ._status import Exit
from ._wording import INSTALL


def run_completion(shell: str) -> Exit:
    """Print the program for a shell. Raises UsageError without shtab."""
    try:
        import shtab
    except ImportError:
        raise UsageError(f"completion needs shtab: {INSTALL}") from None
    print(shtab.complete(make_parser(), shell))
    return Exit.OK

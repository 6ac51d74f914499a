"""Programs of this project, and a fake server for tests.

The programs are the command line `moondream-stream`: see `moondream_tools.cli`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._fake_server import FakeServer, Received

__all__ = ["FakeServer", "Received"]


def __getattr__(name: str) -> Any:
    """Import the fake server at its first use: most programs, and most tests, do not need it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module("._fake_server", __name__), name)
    return value

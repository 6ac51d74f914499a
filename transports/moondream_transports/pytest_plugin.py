"""Fixtures for pytest. Opt in: `pytest_plugins = ["moondream_transports.pytest_plugin"]` in your conftest.py, or pytest's `-p`.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest would warn where this was imported before it.
"""

from ._pytest_cuttings import Cutting, Cuttings, moondream_cuttings

__all__ = ["Cutting", "Cuttings", "moondream_cuttings"]

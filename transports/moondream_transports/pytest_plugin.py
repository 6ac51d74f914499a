"""A pytest plugin for programs that use Moondream; nothing of it is on before it is asked for.

Turn it on in the topmost `conftest.py`, with `pytest_plugins =
["moondream_transports.pytest_plugin"]`, or with `pytest -p moondream_transports.pytest_plugin`.
What there is then: `pytest --fixtures`, docs/recordings.md, and
docs/test-with-fragmented-streams.md.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest would warn where this was imported before it.
"""

from ._pytest_fragmentations import Fragmentations, FragmentedRecording

__all__ = ["Fragmentations", "FragmentedRecording"]

pytest_plugins = [
    "moondream_transports._pytest_fragmentations",
    "moondream_transports._pytest_recordings",
]

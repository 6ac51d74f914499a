"""A pytest plugin for programs that use Moondream.

Turn it on in the topmost `conftest.py` with `pytest_plugins =
["moondream_transports.pytest_plugin"]`, or with `pytest -p moondream_transports.pytest_plugin`.
`pytest --fixtures`, docs/how-to/recordings.md and
docs/how-to/test-with-fragmented-streams.md describe it.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest warns about a plugin that is already imported.
"""

from ._plugin.fragmentations import Fragmentations, FragmentedRecording

__all__ = ["Fragmentations", "FragmentedRecording"]

pytest_plugins = [
    "moondream_transports._plugin.fragmentations",
    "moondream_transports._plugin.recordings",
    "moondream_transports._plugin._async.fixtures",
    "moondream_transports._plugin._sync.fixtures",
]

"""A pytest plugin for programs that use Moondream; nothing of it is on before it is asked for.

Turn it on in the topmost `conftest.py`, with `pytest_plugins = ["moondream_transports.pytest_plugin"]`, or with
`pytest -p moondream_transports.pytest_plugin`. What there is then: `pytest --fixtures`, and docs/recordings.md.
"""

pytest_plugins = ["moondream_transports._pytest_recordings"]

"""Programs of this project: the command line `moondream-stream`. See `moondream_tools.cli`."""

__all__: list[str] = []

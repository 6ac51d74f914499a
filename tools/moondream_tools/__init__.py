"""Programs for people: the command line `moondream-stream`, see `moondream_tools.cli`."""

__all__: list[str] = []

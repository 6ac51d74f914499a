"""The source of both forms. `transports/generate.py` writes `_sync` from it."""

# Generated from ../_async/__init__.py by `make generate`; do not edit.
"""The source of both forms. `transports/generate.py` writes `_sync` from it."""

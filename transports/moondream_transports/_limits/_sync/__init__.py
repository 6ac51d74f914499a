# Generated from ../_async/__init__.py by `make generate`; do not edit.
"""The wait for a turn. The sync twin is generated."""

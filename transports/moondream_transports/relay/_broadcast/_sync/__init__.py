# Generated from ../_async/__init__.py by `make generate`; do not edit.
"""The forms, of which the sync ones are generated."""

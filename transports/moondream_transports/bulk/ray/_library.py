"""Ray, which is imported only where it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

NAMESPACE = "moondream"
"""Of the names of actors. A program of Ray has one of its own otherwise."""


def require_ray() -> Any:
    """Import Ray, and Ray Data with it.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        import_module("ray.data")
        return import_module("ray")
    except ImportError as error:
        raise ModuleNotFoundError(
            "a run on a cluster needs Ray Data, which is not installed: "
            "pip install 'sansio-moondream[ray]'",
            name="ray",
        ) from error

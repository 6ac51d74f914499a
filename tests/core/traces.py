"""The captured responses by name."""

from __future__ import annotations

from tests.helpers import TRACES

BY_NAME = {trace.name: trace for trace in TRACES}

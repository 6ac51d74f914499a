"""How Hypothesis runs here: the same examples every time, so that a red run can be repeated; `make
fuzz` is for new ones.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite",
    derandomize=True,
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", deadline=None, max_examples=20_000)
settings.load_profile("suite")

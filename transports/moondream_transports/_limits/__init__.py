"""Limiters: who sends a request when, for threads and tasks at once."""

from ._limiter import EndpointPool, Limiter, LimiterStatus
from ._reports import report_error, report_head
from ._turn import Turn

__all__ = ["EndpointPool", "Limiter", "LimiterStatus", "Turn", "report_error", "report_head"]

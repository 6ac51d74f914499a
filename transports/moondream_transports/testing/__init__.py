"""Examine a transport of your own: `check_transport` and `check_async_transport` run a server with every fault against it.

They need no pytest. Certificates for the rows on TLS are made by trustme (extra `testing`); without it these rows are not checked, and
the report says so. See docs/write-a-transport.md.
"""

from ._check import ASYNC_ROWS, ROWS, check_async_transport, check_transport
from ._report import Report, RowReport, TransportFailed, Verdict
from ._row import Row

__all__ = [
    "ASYNC_ROWS",
    "ROWS",
    "Report",
    "Row",
    "RowReport",
    "TransportFailed",
    "Verdict",
    "check_async_transport",
    "check_transport",
]

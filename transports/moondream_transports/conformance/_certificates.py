"""Certificates for the TLS cases, made when they are needed by trustme (extra `testing`), and
trusted by nobody else.
"""

from __future__ import annotations

import atexit
import os
import ssl
import tempfile
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from typing import Any


def can_be_made() -> bool:
    return find_spec("trustme") is not None


@cache
def _authority() -> Any:
    import trustme

    return trustme.CA()


def server_tls(
    name: str, *, not_before: datetime | None = None, not_after: datetime | None = None
) -> ssl.SSLContext:
    """For a server of that name; `not_before` and `not_after` say how long it is valid."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority().issue_cert(name, not_before=not_before, not_after=not_after).configure_cert(
        context
    )
    return context


def client_tls() -> ssl.SSLContext:
    """For a client that trusts the servers of `server_tls`, and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _authority().configure_trust(context)
    return context


@cache
def ca_file() -> str:
    """The path of a file with the same, for libraries that read one.

    It is deleted when the program ends.
    """
    descriptor, path = tempfile.mkstemp(suffix=".pem")
    with open(descriptor, "wb") as file:
        file.write(_authority().cert_pem.bytes())
    atexit.register(os.unlink, path)
    return path

"""Certificates for tests, made when they are needed and trusted by nobody else."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any

import pytest


@cache
def _authority() -> Any:
    return pytest.importorskip("trustme", reason="TLS is tested with certificates that trustme makes").CA()


def server_tls(name: str, **validity: Any) -> ssl.SSLContext:
    """For a server of that name; `not_before` and `not_after` say how long it is valid."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority().issue_cert(name, **validity).configure_cert(context)
    return context


def client_tls() -> ssl.SSLContext:
    """For a client that trusts the servers of `server_tls`, and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _authority().configure_trust(context)
    return context

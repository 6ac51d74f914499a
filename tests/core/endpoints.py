"""Headers of a request to an endpoint."""

from __future__ import annotations

from sansio_moondream import Endpoint, QueryRequest

KEY = "SECRET-4f1c"
QUERY = QueryRequest(question="?")


def headers_of(endpoint: Endpoint) -> dict[str, str]:
    return dict(QUERY.to_http(endpoint).headers)

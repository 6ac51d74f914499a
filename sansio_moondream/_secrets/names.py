"""Where a request holds secrets: names of header fields and query fields, and parts of a URL."""

from __future__ import annotations

import re

# Not "tokens", "author" and "Idempotency-Key".
_SECRET_NAME = re.compile(
    r"api.?key|(?:^|(?<!idempotency)[_-])key$|token(?!s)|secret|passw(?:or)?d|passphrase"
    r"|credential|auth(?!or(?!i[sz]))|cookie",
    re.IGNORECASE,
)
_PRIVATE_IN_URL = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)
_NO_SECRETS = frozenset({"", "true", "false", "null"})  # these words are everywhere in JSON


def is_secret(name: str, value: str) -> bool:
    """Whether a header field or a query field holds a secret, by its name.

    The name says key, token, secret, password, credential, auth or cookie: `X-Moondream-Auth`,
    `Authorization`, `X-API-Key`, `?access_token=`.
    """
    return value.lower() not in _NO_SECRETS and _SECRET_NAME.search(name) is not None


def public_part(url: str) -> str:
    """Return a URL without user, query and fragment."""
    return _PRIVATE_IN_URL.sub("", url)

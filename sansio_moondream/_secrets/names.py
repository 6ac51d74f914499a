"""Names of header fields and query fields that hold secrets."""

from __future__ import annotations

import re

# Not "tokens", "author" and "Idempotency-Key".
_SECRET_NAME = re.compile(
    r"api.?key|(?:^|(?<!idempotency)[_-])key$|token(?!s)|secret|passw(?:or)?d|passphrase"
    r"|credential|auth(?!or(?!i[sz]))|cookie",
    re.IGNORECASE,
)
_NO_SECRETS = frozenset({"", "true", "false", "null"})  # these words are everywhere in JSON


def is_secret(name: str, value: str) -> bool:
    """Whether a header field or a query field holds a secret, by its name.

    The name says key, token, secret, password, credential, auth or cookie: `X-Moondream-Auth`,
    `Authorization`, `X-API-Key`, `?access_token=`.
    """
    return value.lower() not in _NO_SECRETS and _SECRET_NAME.search(name) is not None

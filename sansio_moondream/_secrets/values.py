"""The secrets of one request. They are masked in errors, and in recordings.

1. A secret is found in the spellings that `views` removes, and in base64 (at each alignment, of
   both alphabets) and hexadecimal digits. It is not found in other codings, with other characters
   between its own (line ends in its base64), reversed, or in part. Only where a text is cut off do
   we look for a part of it: of 4 bytes or more, beside the mark of the cut.
2. A secret of less than 4 characters is not masked: every text has it somewhere by accident.
3. Error reporters print the local variables of frames. So a secret is in no local variable of a
   function that can fail, and the repr of `Secrets` shows none.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from itertools import chain
from urllib.parse import unquote, unquote_plus

from .names import is_secret
from .views import CUT_MARKS, View, unescape, whole

_MIN_COOKIE = 8  # characters: the "dark" of "theme=dark" is a common word and no secret
_MIN_SECRET = 4  # characters
_SCHEME = re.compile(
    r"^(?:bearer|basic|token|digest|negotiate|ntlm|jwt|api-?key|key)\s+(?=\S)", re.IGNORECASE
)
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Secrets(Iterable[str]):
    """Texts to mask in errors and recordings. The repr shows none of them.

    `HTTPRequest.secrets` has those of a request.
    """

    __slots__ = ("_needles", "_texts")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = frozenset(text for text in texts if text)
        self._needles: tuple[bytes, ...] | None = None

    @classmethod
    def among(cls, texts: Iterable[str]) -> Secrets:
        """Return texts as secrets. A single text is one secret, not its characters."""
        if isinstance(texts, Secrets):
            return texts  # it may know already what to look for
        return cls([texts] if isinstance(texts, str) else texts)

    @classmethod
    def of(cls, headers: Iterable[tuple[str, str]], url: str) -> Secrets:
        """Find the secrets of a request: cookies, and header and query fields with such names."""
        query = url.partition("#")[0].partition("?")[2]
        return cls(chain(_of_headers(headers), _of_query(query)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __bool__(self) -> bool:
        return bool(self._texts)

    def __repr__(self) -> str:
        return f"<Secrets: {len(self._texts)}>"

    def mask(self, text: str) -> str:
        """Mask the secrets in a message, byte by byte. It may end in the middle of one."""
        if not self:
            return text
        data = text.encode("utf-8", "replace")
        masked = bytearray(data)
        for view in whole(data).unescaped():
            self.mask_view(view, masked, cut_end=True)
        return text if bytes(masked) == data else masked.decode("utf-8", "replace")

    def mask_view(self, view: View, original: bytearray, *, cut_end: bool = False) -> None:
        """Mask the secrets in one view of a text, where they stand in the original.

        Args:
            view: is not unescaped here.
            original: of the view.
            cut_end: whether the text may end in the middle of a secret.
        """
        if self._needles is None:
            self._needles = tuple(set(chain.from_iterable(map(_needles, self._texts))))
        text = view.text
        has_cuts = any(mark in text for mark in CUT_MARKS)
        for needle in self._needles:
            found = [_matches(needle, text, has_cuts=has_cuts, cut_end=cut_end)]
            if has_cuts:
                found.append(_ends_after_cuts(needle, text))
            for matches in found:
                masked_to = 0  # in a text of one letter all matches overlap
                for start, end in matches:
                    view.mask(max(start, masked_to), max(end, masked_to), original)
                    masked_to = max(end, masked_to)


def _matches(
    needle: bytes, text: bytes, *, has_cuts: bool, cut_end: bool
) -> Iterator[tuple[int, int]]:
    """Yield where a needle is, and where its beginning is before a cut."""
    size = len(needle)
    for start in _offsets(needle[:_MIN_SECRET], text):
        if text.startswith(needle, start):
            yield start, start + size
            continue
        least = start + _MIN_SECRET
        cuts = [text.find(mark, least, start + size + 2) for mark in CUT_MARKS if has_cuts]
        ends = [cut for cut in cuts if cut >= 0]
        if cut_end and start + size > len(text):
            ends.append(len(text))
        if ends and needle.startswith(text[start : min(ends)]):
            yield start, min(ends)


def _ends_after_cuts(needle: bytes, text: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the end of a needle is after a cut."""
    for last in _offsets(needle[-_MIN_SECRET:], text):
        end = last + _MIN_SECRET
        least = max(end - len(needle) - 2, 0)
        cuts = [(text.rfind(mark, least, last), len(mark)) for mark in CUT_MARKS]
        start = max((at + size for at, size in cuts if at >= 0), default=end)
        if start < end and needle.endswith(text[start:end]):
            yield start, end


def _offsets(part: bytes, text: bytes) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _of_headers(headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, value in headers:
        value = value.strip()
        if not is_secret(name, value):
            continue
        if name.lower() == "cookie":
            yield value
            cookies = (pair.partition("=")[2].strip() for pair in value.split(";"))
            yield from (cookie for cookie in cookies if len(cookie) >= _MIN_COOKIE)
            continue
        credentials = _SCHEME.sub("", value)
        yield from (credentials, credentials.split()[-1])
        if value[:6].lower() == "basic ":
            yield from _of_basic(credentials)


def _of_basic(value: str) -> Iterator[str]:
    try:
        user_and_password = b64decode(value).decode()
    except ValueError:
        return
    user, _, password = user_and_password.partition(":")
    yield from (user_and_password, password or user)


def _of_query(query: str) -> Iterator[str]:
    for field in query.split("&"):
        name, _, value = field.partition("=")
        if is_secret(unquote_plus(name), value):
            yield from (value, unquote(value), unquote_plus(value))


def _needles(secret: str) -> Iterator[bytes]:
    """Yield what to look for: the secret in each encoding and coding, and without its escapes."""
    if len(secret) < _MIN_SECRET:
        return
    utf_8, latin_1 = secret.encode("utf-8", "replace"), secret.encode("latin-1", "replace")
    # Each of the two encodings may have been read as the other one.
    encoded = {utf_8, utf_8.decode("latin-1").encode(), utf_8.replace(b" ", b"+")}
    if len(secret.encode("ascii", "ignore")) >= _MIN_SECRET:  # else "????" would be one
        encoded |= {latin_1, latin_1.decode("utf-8", "replace").encode()}
        encoded.add(secret.encode("ascii", "replace"))
    for text in set(encoded):
        encoded |= {unescape(text), unescape(unescape(text))}
    yield from (text for text in encoded if len(text) >= _MIN_SECRET)
    yield from (utf_8.hex().encode(), utf_8.hex().upper().encode())
    for before, first in enumerate((0, 2, 3)):
        digits = b64encode(bytes(before) + utf_8)
        # The first digit and the last one may hold bits of the bytes around the secret.
        digits = digits[first : (before + len(utf_8)) * 8 // 6]
        yield from (digits, digits.translate(_URL_SAFE))

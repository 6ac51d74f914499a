"""Secrets: which texts of a request are some, and how they are found however they are spelt."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from time import process_time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream import ConnectionLost, HTTPRequest, ResponseStream
from sansio_moondream.recording import mask_chunks, mask_text
from tests.helpers import QUERY

KEY = "pl<nted&key+7f3a/\u00e9\u00fc-tail"
# How one character, given as text, may be spelt inside a longer text.
SPELLINGS: list[Callable[[str], str]] = [
    str,
    lambda text: json.dumps(text)[1:-1],
    lambda text: f"\\u{ord(text):04x}",
    lambda text: f"\\\\\\u{ord(text):04X}",
    lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    lambda text: "".join(f"%25{byte:02x}" for byte in text.encode()),
    html.escape,
    lambda text: html.escape(html.escape(text)),
    lambda text: f"&#{ord(text)};",
    lambda text: f"&#x{ord(text):x};",
    lambda text: f"&amp;#X{ord(text):06X};",
    lambda text: json.dumps(f"&#{ord(text)};").replace("&", "\\u0026")[1:-1],
]


def masked(text: str, secret: str = KEY) -> str:
    """Mask a text, whose mask has its length in bytes."""
    seen = mask_text(text, [secret])
    assert len(seen.encode()) == len(text.encode())
    return seen


def stars(text: str) -> str:
    return "*" * len(text.encode())


@given(st.lists(st.sampled_from(SPELLINGS), min_size=len(KEY), max_size=len(KEY)))
def test_each_character_in_a_spelling_of_its_own(spellings: list[Callable[[str], str]]) -> None:
    spelt = "".join(spell(text) for spell, text in zip(spellings, KEY, strict=True))
    assert masked(f"the key {spelt}!") == f"the key {stars(spelt)}!"


@pytest.mark.parametrize(
    "spelt",
    [
        quote(KEY, safe=""),
        quote(quote(KEY, safe=""), safe=""),
        html.escape(KEY),
        KEY.replace("+", "&plus;").replace("/", "&sol;"),
        repr(KEY.encode())[2:-1],
        repr(KEY.encode("latin-1"))[2:-1],
        json.dumps(json.dumps(KEY))[3:-3],
        KEY.encode("latin-1").decode("utf-8", "replace"),
        KEY.encode().decode("latin-1"),
        KEY.encode("ascii", "replace").decode(),
        KEY.encode().hex(),
        KEY.encode().hex().upper(),
    ],
)
def test_the_whole_key_in_a_spelling(spelt: str) -> None:
    assert masked(f"the key {spelt}!") == f"the key {stars(spelt)}!"


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", range(4))
def test_base64_at_each_alignment(
    encode: Callable[[bytes], bytes], before: int, after: int
) -> None:
    """Only digits that it shares with its neighbours stay."""
    size = len(KEY.encode())
    spelt = encode(b"x" * before + KEY.encode() + b"y" * after).decode()
    first, last = -(-before * 8 // 6), (before + size) * 8 // 6
    assert masked(spelt) == spelt[:first] + "*" * (last - first) + spelt[last:]


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("ab\\cd\\\\ef", json.dumps("ab\\cd\\\\ef")[1:-1]),
        ("ab%41cd", "ab%41cd"),
        ("ab%41cd", quote("ab%41cd")),
        ("<b%41cd", "&lt;b%41cd"),
        ("ab&amp;cd", html.escape("ab&amp;cd")),
        ("two words", "two+words"),
        ('"quoted"', '\\"quoted\\"'),
        ("moon\U0001f319", "moon\\ud83c\\udf19"),
        ("moon\U0001f319", "moon\\uD83C\\uDF19"),
        ("moon", "&#109;oon"),
        ("100% sure", "100%25 sure"),
        ("R&D key", "R&amp;D key"),
        ("tab\there", "tab\\there"),
    ],
)
def test_secrets_that_look_escaped_themselves(secret: str, text: str) -> None:
    assert masked(f"= {text} =", secret) == f"= {stars(text)} ="


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("pl&lt;nted", 1),
        ("pl\\u0026lt;nted", 2),
        ("pl%26lt%3Bnted", 2),
        ("pl%5Cu0026lt;nted", 3),
        ("&#x000000000070;l<nted", 1),
        ("&#000000000112;l<nted", 1),
    ],
)
def test_escapes_inside_of_escapes(text: str, steps: int) -> None:
    assert masked(text, "pl<nted") == (stars(text) if steps <= 2 else text)


@pytest.mark.parametrize(
    "text",
    [
        "\\ud83c alone, \\u12 short, \\x1, %zz, %2, &nosuch; and &#1114112;, 100% & more",
        "&#99999999;pl&lt;nted&am",
        "plant&#101d",
    ],
)
def test_what_is_not_the_secret_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("cut", ["", "\\", "\\\\", "\\u", "\\u0", "\\u00e", "%", "%C", "%C3%", "&"])
def test_an_escape_that_the_end_cuts_off(cut: str) -> None:
    body = f"key: {KEY[:17]}{cut}".encode()
    assert mask_chunks([body], [KEY]) == (b"key: " + b"*" * (len(body) - 5),)


@pytest.mark.parametrize("mark", ["…", "..."])
@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plan@ for", "****@ for"),
        ("pla@ for", "pla@ for"),
        ("plant@plante", "*****@plante"),
        ("plant-@", "plant-@"),
        ("xplant@, plant@", "x*****@, *****@"),
        ("for @f3a9", "for @f3a9"),
        ("for @3a9c is", "for @**** is"),
        ("for @a9c is", "for @a9c is"),
        ("for @x3a9c is", "for @x3a9c is"),
        ("@-7f3a9c@7f3a9c", "@*******@******"),
        ("planted-key@7f3a9c", "***********@******"),
        ("@planted-key-7f3a9c@", "@******************@"),
        ("\\u0070lan\\u00@", "*************@"),
        ("plan%@ plan%2@ plan&#1@ plan\\@", "*****@ ******@ *******@ *****@"),
        ("@\\u0033a9c", "@*********"),
        ("plan\\u00", "plan\\u00"),
        ("cGxhbnRlZC@", "**********@"),
    ],
)
def test_a_text_that_was_shortened(text: str, seen: str, mark: str) -> None:
    text, seen = (value.replace("@", mark) for value in (text, seen))
    assert masked(text, "planted-key-7f3a9c") == seen
    (body,) = mask_chunks([f"{text} ".encode()], ["planted-key-7f3a9c"])
    assert body.decode() == f"{seen} "


def test_a_secret_that_repeats_itself() -> None:
    assert masked("aaaaaaa… aaaab aaaaaab", "aaaab") == "aaa****… ***** aa*****"


@pytest.mark.parametrize("length", [3, 4])
def test_the_shortest_secret(length: int) -> None:
    secret = "moon"[:length]
    assert masked("a moon", secret) == ("a ****" if length == 4 else "a moon")


@pytest.mark.parametrize(("secret", "stays"), [("月abc", True), ("月abcd", False)])
def test_characters_that_another_encoding_lost(secret: str, stays: bool) -> None:
    lost = secret.replace("月", "?")
    assert masked(f"{secret} {lost}", secret) == (
        f"{stars(secret)} {lost if stays else stars(lost)}"
    )


def test_one_text_is_one_secret() -> None:
    assert mask_text("a moon", "moon") == "a ****"


class TestOfARequest:
    @pytest.mark.parametrize("name", [
        *("X-Moondream-Auth", "Authorization", "Proxy-Authorization", "authorisation", "Cookie"),
        *("X-API-Key", "apikey", "api_key", "Key", "Subscription-Key", "ssh_key", "X-Auth-Token"),
        *("token", "client_secret", "password", "passwd", "passphrase", "X-Credential", "AUTH"),
    ])  # fmt: skip
    def test_names_of_secrets(self, name: str) -> None:
        assert HTTPRequest("POST", "http://h/v1", ((name, "planted"),), b"").secrets
        assert HTTPRequest("POST", f"http://h/v1?{name}=planted", (), b"").secrets

    @pytest.mark.parametrize("name", [
        *("Idempotency-Key", "idempotency_key", "X-Monkey", "keys", "tokens", "max_tokens"),
        *("author", ":authority", "X-Author", "pass", "Host", "X-Org"),
    ])  # fmt: skip
    def test_other_names(self, name: str) -> None:
        assert not HTTPRequest("POST", "http://h/v1", ((name, "planted"),), b"").secrets
        assert not HTTPRequest("POST", f"http://h/v1?{name}=planted", (), b"").secrets

    @pytest.mark.parametrize("value", ["", "true", "False", "NULL"])
    def test_values_that_are_none(self, value: str) -> None:
        assert not HTTPRequest("POST", f"http://h?key={value}", (("Key", value),), b"").secrets

    def test_cookies(self) -> None:
        """Short ones are common words."""
        cookie = "a=1234567; b = 12345678 ;c=1234567890=; d"
        request = HTTPRequest("POST", "http://h/v1", (("cookie", cookie),), b"")
        assert {*request.secrets} == {cookie, "12345678", "1234567890="}

    @pytest.mark.parametrize(
        ("headers", "url", "shown"),
        [
            ((("X-Moondream-Auth", "planted"),), "http://h/v1", "<Secrets: 1>"),
            ((("Authorization", "Bearer planted"),), "http://h/v1", "<Secrets: 1>"),
            ((("Idempotency-Key", "planted"),), "http://h/v1", "<Secrets: 0>"),
            ((("X-Author", "planted"),), "http://h/v1", "<Secrets: 0>"),
            ((("X-Auth-Needed", "True"),), "http://h/v1", "<Secrets: 0>"),
            ((("Api-Key", ""),), "http://h/v1?max_tokens=7", "<Secrets: 0>"),
            ((), "http://h/v1?key=planted", "<Secrets: 1>"),
        ],
    )
    def test_their_number(self, headers: tuple[tuple[str, str], ...], url: str, shown: str) -> None:
        secrets = HTTPRequest("POST", url, headers, b"{}").secrets
        assert repr(secrets) == shown
        assert list(secrets) == (["planted"] if secrets else [])
        assert secrets.mask("planted") == ("*******" if secrets else "planted")


@pytest.mark.parametrize(
    "hostile",
    [b"\\", b'\\"', b"\\u0070", b"%25", b"%2570", b"&amp;", b"&#", b"&#112;", b"...", b'"a":"b",'],
)
def test_the_work_is_linear_in_the_bytes(hostile: bytes) -> None:
    def seconds(count: int) -> float:
        body = hostile * count
        began = process_time()
        assert len(mask_chunks([body], ["planted-key"])[0]) == len(body)
        return process_time() - began

    count = 5_000
    once, four_times = (min(seconds(size) for _ in range(3)) for size in (count, 4 * count))
    assert four_times < 10 * max(once, 0.01)


@pytest.mark.parametrize("letter", "\b\f\n\r\t")
def test_a_control_character_in_a_secret(letter: str) -> None:
    secret = f"moon{letter}key"
    spelt = json.dumps(secret)[1:-1]
    assert masked(f"the {spelt}!", secret) == f"the {stars(spelt)}!"


def test_lone_surrogates() -> None:
    """The system puts them into messages, for the bytes of a file's name that are not UTF-8."""
    sent = HTTPRequest("POST", "", (("Key", "moon\udc80key"), ("X-Key", "another")), b"")
    stream = ResponseStream(QUERY, sent=sent)
    stream.receive_error(ConnectionLost("\udc80: another, moon\udc80key, moon?key"))
    with pytest.raises(ConnectionLost) as caught:
        next(stream.events())
    assert caught.value.message == "?: *******, ********, ********"

"""Case 5 of "What broke in trials": values that show themselves, and recordings that leak."""

from __future__ import annotations

import base64
import gzip
import html
import json
import pprint
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from moondream_transports import (
    AiohttpTransport,
    AnyioTransport,
    AsyncClient,
    Client,
    UrllibTransport,
    sdk,
)
from moondream_transports._http11.route import Route, parse_proxy
from moondream_transports.bulk import Item
from moondream_transports.relay import Answer
from sansio_moondream import (
    CaptionRequest,
    ChatMessage,
    ChatRequest,
    Endpoint,
    HTTPRequest,
    IncompleteStream,
    QueryRequest,
    SocketStream,
    encode_image,
)
from sansio_moondream.recording import Recorder, Recording, RecordingHeader
from tests.trials.helpers import KEY, found_in, rich_traceback, shown_by_rich

PICTURE = encode_image(b"\xff\xd8\xff" + b"\xfb\xef\xbe" * 40)  # in base64: /9j/ and many a +
PAYLOAD = PICTURE.data_url.partition(",")[2]
ASKED = QueryRequest(question="What?", image=PICTURE)
ENDPOINT = Endpoint(api_key=KEY, headers={"X-Secret": KEY})
PROXY = f"http://user:{KEY}@proxy:3128"
VALUES: dict[str, Any] = {
    "endpoint": ENDPOINT,
    "http request": ASKED.to_http(ENDPOINT),
    "picture": PICTURE,
    "query": ASKED,
    "caption": CaptionRequest(image=PICTURE),
    "chat": ChatRequest(messages=[ChatMessage("user", [PICTURE, "What?"])]),
    "secrets": ASKED.to_http(ENDPOINT).secrets,
    "recorder": Recorder(ASKED.to_http(ENDPOINT), now=0.0),
    "recording": Recorder(ASKED.to_http(ENDPOINT), now=0.0).leave(1.0),
    "header of a recording": RecordingHeader.of(ASKED.to_http(ENDPOINT)),
    "client": Client(UrllibTransport(), ENDPOINT),
    "async client": AsyncClient(AnyioTransport(), ENDPOINT),
    "stream": Client(UrllibTransport(), ENDPOINT).stream(ASKED),
    "proxies of urllib": UrllibTransport(proxies={"http": PROXY}),
    "proxy of anyio": AnyioTransport(proxy=PROXY),
    "proxy of aiohttp": AiohttpTransport(proxy=PROXY),
    "proxy": parse_proxy(PROXY),
    "request with a key in its query": HTTPRequest("POST", f"http://u:{KEY}@h/?key={KEY}", (), b""),
    "route": Route.to("http://h/v1", parse_proxy(PROXY)),
    "socket stream": SocketStream(ASKED, ENDPOINT),
    "model of the SDK": sdk.vl(api_key=KEY),
    "item of a bulk run": Item("moon", PICTURE.data, {"question": "What?"}),
    "item with a data URL": Item("moon", PICTURE.data_url, problem="it is no picture"),
    "answer to a frame": Answer(PICTURE.data, None, IncompleteStream("it broke"), 0.3, 2),
    "picture of the SDK": sdk.Base64EncodedImage(PICTURE.data_url),
}
WAYS: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "pprint": pprint.pformat,
    "rich": shown_by_rich,
    "rich-traceback": rich_traceback,
}


@pytest.mark.parametrize(
    ("name", "way"),
    [pytest.param(name, way, id=f"{name}-{way}") for name in VALUES for way in WAYS],
)
def test_no_way_to_show_a_value_shows_key_or_picture(name: str, way: str) -> None:
    shown = WAYS[way](VALUES[name])
    password = base64.b64encode(f"user:{KEY}".encode()).decode()
    assert found_in([shown], KEY, password, PAYLOAD[:40], repr(PICTURE.data)[2:42]) == []


@pytest.mark.parametrize("name", VALUES)
def test_rich_shows_the_repr(name: str) -> None:
    shown = shown_by_rich(VALUES[name]).replace("\n", "")
    if name == "header of a recording":  # all of it may be shown
        assert "RecordingHeader(" in shown
    else:
        assert shown == repr(VALUES[name]).replace("\n", "")


@pytest.mark.parametrize("name", ["X-Api-Key", "api-key", "X-Auth-Token"])
def test_a_header_that_is_named_like_a_key_is_refused_over_plain_http(name: str) -> None:
    with pytest.raises(ValueError, match="plain http"):
        Endpoint("http://moondream.example/v1", headers={name: KEY})


ODD_KEY = "pl<nted&key+7f3a/\u00e9\u00fc-tail"
PLAIN_KEY = "planted-key-7f3a9c"


def recorded(key: str, *chunks: bytes, fields: tuple[tuple[str, str], ...] = ()) -> Recording:
    """The recording of an exchange with this key whose body came in these chunks."""
    endpoint = Endpoint(api_key=key)
    recorder = Recorder(ASKED.to_http(endpoint), now=0.0)
    recorder.receive_response(200, (("content-type", "text/event-stream"), *fields), 1.0)
    for chunk in chunks:
        recorder.receive_data(chunk, 2.0)
    return recorder.receive_eof(3.0)


def body_of(recording: Recording) -> bytes:
    return b"".join(chunk.data for chunk in recording.chunks)


def escaped(text: str, *, capitals: bool = False) -> str:
    """JSON text with everything escaped that is no letter, digit or hyphen."""
    form = "\\u{:04X}" if capitals else "\\u{:04x}"
    return "".join(
        letter
        if letter.isascii() and (letter.isalnum() or letter == "-")
        else form.format(ord(letter))
        for letter in text
    )


SPELLINGS: dict[str, Callable[[str], str]] = {
    "json": lambda text: json.dumps(text)[1:-1],
    "escaped": escaped,
    "escaped in capitals": lambda text: escaped(text, capitals=True),
    "only e acute in capitals": lambda text: text.replace("\u00e9", "\\u00E9"),
    "only < and &": lambda text: text.replace("<", "\\u003c").replace("&", "\\u0026"),
    "only +": lambda text: text.replace("+", "\\u002b"),
    "percent": lambda text: quote(text, safe=""),
    "percent in small letters": lambda text: quote(text, safe="").replace("%3C", "%3c"),
    "html": html.escape,
    "html by numbers": lambda text: text.replace("<", "&#60;").replace("&k", "&#38;k"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_is_masked_in_a_recording_however_it_is_spelt(spelling: str) -> None:
    spelt = SPELLINGS[spelling](ODD_KEY)
    data = f'data: {{"chunk": "the key {spelt} is wrong"}}\n\n'.encode()
    assert spelt.encode() not in body_of(recorded(ODD_KEY, data))


PICTURE_SPELLINGS: dict[str, Callable[[str], str]] = {
    "json": lambda text: text,
    "escaped": escaped,
    "escaped in capitals": lambda text: escaped(text, capitals=True),
    "percent": lambda text: quote(text, safe=""),
    "html by numbers": lambda text: text.replace("+", "&#43;").replace("/", "&#47;"),
    "hex": lambda text: base64.b64decode(text).hex(),
}


@pytest.mark.parametrize("spelling", PICTURE_SPELLINGS)
def test_a_picture_is_masked_in_a_recording_however_it_is_spelt(spelling: str) -> None:
    spelt = PICTURE_SPELLINGS[spelling](PAYLOAD)
    data = f'data: {{"chunk": "I saw {spelt}"}}\n\n'.encode()
    assert spelt[-60:].encode() not in body_of(recorded(PLAIN_KEY, data))


@pytest.mark.parametrize("secret", [PLAIN_KEY, PAYLOAD], ids=["key", "picture"])
def test_a_secret_that_is_split_over_two_deltas_is_masked(secret: str) -> None:
    half = len(secret) // 2
    deltas = [
        f'data: {{"chunk": "{part}"}}\n\n'.encode() for part in (secret[:half], secret[half:])
    ]
    body = body_of(recorded(PLAIN_KEY, *deltas))
    assert found_in([body.decode()], secret[:half], secret[half:]) == []


@pytest.mark.parametrize(
    "message",
    [
        f"quoted: {PLAIN_KEY[:12]}…",
        f"quoted: \\u0070{PLAIN_KEY[1:12]}…",
        f"…{PLAIN_KEY[6:]} is wrong",
        f"quoted: {PLAIN_KEY[:12]}...",
    ],
)
def test_a_key_at_the_cut_end_of_a_message_is_masked(message: str) -> None:
    recorder = Recorder(ASKED.to_http(Endpoint(api_key=PLAIN_KEY)), now=0.0)
    ending = recorder.receive_error(IncompleteStream(message), 1.0).ending
    assert found_in([ending.message], PLAIN_KEY[6:12]) == []


def test_a_key_in_gzip_without_its_header_is_not_recorded() -> None:
    body = body_of(
        recorded(PLAIN_KEY, gzip.compress(b'data: {"chunk": "%s"}' % PLAIN_KEY.encode()))
    )
    assert not body.startswith(b"\x1f\x8b") or PLAIN_KEY.encode() not in gzip.decompress(body)


NAMES = ["api_key", "apiKey", "password", "authorization"]


@pytest.mark.parametrize("name", NAMES)
def test_a_field_of_a_request_that_is_named_like_a_secret_is_masked(name: str) -> None:
    body = json.dumps({"question": "What?", name: "s3cret-of-somebody"}).encode()
    request = HTTPRequest("POST", "http://localhost/v1/query", (), body)
    recording = Recorder(request, now=0.0).leave(1.0)
    assert b"s3cret-of-somebody" not in recording.encode()


@pytest.mark.parametrize("name", NAMES)
def test_a_field_of_an_answer_that_is_named_like_a_secret_is_masked(name: str) -> None:
    data = b"data: %s\n\n" % json.dumps({"completed": True, name: "s3cret-of-somebody"}).encode()
    assert b"s3cret-of-somebody" not in recorded(PLAIN_KEY, data).encode()

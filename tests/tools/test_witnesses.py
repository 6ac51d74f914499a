"""The official Python and Node clients, and curl, against `serve` in each dialect and through
`record`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from sansio_moondream.recording import Recording
from tests.tools.programs import Program, running
from tests.tools.witnesses import (
    CALLS,
    CHATS,
    HARBOUR,
    STREAMED,
    Seen,
    Witness,
    official_node,
    official_python,
    ours,
)

WITNESSES = pytest.mark.parametrize(
    "witness", [official_python, official_node], ids=["python", "node"]
)


@pytest.fixture(scope="module")
def serve() -> Iterator[Program]:
    with running("serve", "--speed", "max") as program:
        yield program


@pytest.fixture(scope="module", params=["as recorded", "cloud", "station"])
def server(request: pytest.FixtureRequest, serve: Program) -> Iterator[Program]:
    if request.param == "as recorded":
        yield serve
        return
    with running("serve", "--speed", "max", "--dialect", request.param) as program:
        yield program


def check(witness: Witness, url: str) -> None:
    """Each call must return the same as our client."""
    got, expected = witness(url, CALLS), ours(url)
    for call in CALLS:
        seen, right = got[call], expected[call]
        assert seen.error is None, (call, seen)
        if call in STREAMED:
            assert seen.text == "".join(right.chunks or []) != "", call
        else:
            check_whole(seen, asdict(right.result))
    *_, last = got["segment, streamed"].chunks or []
    assert (last["path"], last["completed"]) == (expected["segment, streamed"].result.path, True)


def check_whole(seen: Seen, result: dict[str, Any]) -> None:
    (answer, *_) = seen.result.values()
    if "text" in result:
        assert answer == result["text"]
    elif "path" in result:
        assert (seen.result["path"], seen.result["bbox"]) == (
            result["path"],
            asdict(result["bbox"]),
        )
    else:
        assert answer == [asdict(place) for place in result.get("objects") or result["points"]]


@WITNESSES
@pytest.mark.slow
def test_against_serve(witness: Witness, server: Program) -> None:
    check(witness, server.url)


@pytest.mark.slow
def test_chats_against_serve(server: Program) -> None:
    got, expected = official_python(server.url, CHATS), ours(server.url, CHATS)
    text = expected["chat"].result.text
    assert got["chat"] == Seen(
        result={"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    )
    assert got["chat, streamed"].error is None
    assert got["chat, streamed"].text == expected["chat, streamed"].text == text != ""


@pytest.mark.slow
def test_chats_of_the_openai_package(serve: Program) -> None:
    openai = pytest.importorskip("openai", reason="needs openai, which `make` installs")
    text = ours(serve.url, CHATS)["chat"].result.text
    ask: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "What?"}]}
    with openai.OpenAI(api_key="none", base_url=serve.url, max_retries=0) as client:
        create = client.chat.completions.create
        assert create(**ask).choices[0].message.content == text
        parts = [chunk.choices for chunk in create(**ask, stream=True)]
        assert "".join(part[0].delta.content or "" for part in parts if part) == text
        with pytest.raises(openai.RateLimitError, match="simulated fault 429"):
            create(**ask, extra_headers={"X-Moondream-Fault": "429"})


@pytest.mark.slow
def test_chats_through_record(serve: Program, tmp_path: Path) -> None:
    with running("record", "--upstream", serve.url, "--to", tmp_path) as proxy:
        got = official_python(proxy.url, CHATS)
    with running("serve", tmp_path, "--speed", "max", "--match", "exact") as again:
        assert official_python(again.url, CHATS) == got == official_python(serve.url, CHATS)


@pytest.mark.slow
def test_in_chunks_of_a_byte() -> None:
    """The Node client decodes each chunk by itself, so this test leaves it out."""
    with running("serve", "--speed", "max", "--fragmentation", "1") as server:
        check(official_python, server.url)


@WITNESSES
@pytest.mark.slow
def test_through_record(witness: Witness, serve: Program, tmp_path: Path) -> None:
    with running("record", "--upstream", serve.url, "--to", tmp_path) as proxy:
        check(witness, proxy.url)
        status, log = proxy.stopped()
    assert (status, log.count(".jsonl)")) == (0, 2 * len(CALLS))
    recordings = [Recording.decode(path.read_bytes()) for path in tmp_path.glob("*.jsonl")]
    for recording in recordings:  # the official clients leave as soon as the last event is there
        body = b"".join(chunk.data for chunk in recording.chunks)
        assert recording.ending.fault == "eof" or (
            recording.ending.fault == "left" and b'"completed": true' in body
        )
    agents = {
        dict(recording.header.request_headers)["user-agent"].partition("/")[0]
        for recording in recordings
    }
    assert len(agents) == 2
    # And what was recorded of the official client serves it again.
    with running("serve", tmp_path, "--speed", "max", "--match", "exact") as again:
        check(witness, again.url)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")
class TestCurl:
    """The command of the documentation works with another host."""

    IMAGE = (
        "/9j//gAQTGF2YzYxLjE5LjEwMQD/2wBDAAg+Pkk+SVVVVVVVVWRdZGhoaGRkZGRoaGhwcHCDg4NwcHBoaHBwfHyDg4+Tj4eHg4eTk5ubm7q6srLZ2eD/////xABZ"
        "AAADAQEBAQAAAAAAAAAAAAAABgcFCAECAQEAAAAAAAAAAAAAAAAAAAAAEAADAAMBAQEBAAAAAAAAAAAAAQIDIREEURKBEQEAAAAAAAAAAAAAAAAAAAAA/8AAEQgA"
        "GQAZAwESAAISAAMSAP/aAAwDAQACEQMRAD8A5/PQAAABirHyVS2mUip/Pm4/vQAih9ABuRUrVLqMEALVNead7/pFgAfc+d5NLSEEAAAA/9k="
    )

    def curl(self, url: str, *options: str) -> str:
        body = {
            "image_url": f"data:image/jpeg;base64,{self.IMAGE}",
            "question": "What is in this image?",
            "stream": True,
        }
        headers = ["-H", "Content-Type: application/json", "-H", "X-Moondream-Auth: YOUR_API_KEY"]
        command = [
            "curl",
            "-N",
            "-sS",
            *options,
            "-X",
            "POST",
            f"{url}/query",
            *headers,
            "-d",
            json.dumps(body, indent=2),
        ]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def test_against_serve(self, serve: Program) -> None:
        recording = Recording.decode((HARBOUR.parent / "query.jsonl").read_bytes())
        assert self.curl(serve.url) == b"".join(chunk.data for chunk in recording.chunks).decode()

    def test_as_the_documentation_shows_the_answer(self, serve: Program) -> None:
        first, second, *_ = self.curl(serve.url, "-H", "X-Moondream-Dialect: demo").split("\n\n")
        assert (first, second) == (
            'data: {"text": "The image shows"}',
            'data: {"text": " a harbour at"}',
        )

    def test_through_record(self, serve: Program, tmp_path: Path) -> None:
        with running("record", "--upstream", serve.url, "--to", tmp_path) as proxy:
            assert self.curl(proxy.url) == self.curl(serve.url)
        (path,) = tmp_path.glob("*.jsonl")
        written = path.read_text()
        assert not any(secret in written for secret in ("YOUR_API_KEY", self.IMAGE[:40]))
        assert (Recording.decode(path.read_bytes()).header.request_body["image_url"]["width"]) == 25

"""An exchange as curl, as a program in Python and as a recording."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from msgspec.structs import replace

from moondream_tools._inspect._take_away import TakeAway, take_away
from sansio_moondream import (
    ChatMessage,
    ChatRequest,
    EncodedImage,
    Endpoint,
    QueryRequest,
    Request,
    SegmentRequest,
    Settings,
)
from sansio_moondream.recording import Ending, Recording, RecordingHeader
from tests.helpers import PIXEL, REQUESTS
from tests.tools.inspect.receiver import Receiver
from tests.tools.programs import running
from tests.tools.serving import RECORDED, SHIPPED

KEY = "planted-key-7f3a"
HOSTILE = (
    'it\'s "$(touch pwned)" `touch pwned`; %s \\n !x \n\t\x00\x7f \u202e 月 🌙 \ud83c {[*?]} # <b>'
)

need_curl = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("sh") is None, reason="needs curl and sh"
)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the picture of the shipped recordings."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(str(SHIPPED / "harbour.jpg"), tmp_path / "picture.jpg")
    return tmp_path


def recording_of(request: Request[Any], stream: bool = True, **extra: Any) -> Recording:
    """Return a recording of a request whose answer does not matter."""
    endpoint = Endpoint("http://localhost:2020/v1", headers={"User-Agent": 'it\'s "me" $HOME'})
    header = RecordingHeader.of(request.to_http(endpoint, stream, extra), 200, seconds=0.25)
    return Recording(header, (), Ending(0.5))


def run_curl(command: str, url: str, folder: Path, key: str = KEY) -> str:
    environment = {**os.environ, "MOONDREAM_ENDPOINT": url, "MOONDREAM_API_KEY": key}
    done = subprocess.run(
        ["sh", "-eu", "-c", command],
        capture_output=True,
        cwd=folder,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def run_python(program: str, url: str, monkeypatch: pytest.MonkeyPatch, key: str = KEY) -> str:
    monkeypatch.setenv("MOONDREAM_ENDPOINT", url)
    monkeypatch.setenv("MOONDREAM_API_KEY", key)
    out = StringIO()
    with redirect_stdout(out):
        exec(compile(program, "taken.py", "exec"), {"__name__": "__main__"})
    return out.getvalue()


def assert_same(received: RecordingHeader, recording: Recording, *, lacks: str = "") -> None:
    """Compare what a recording has of a request that arrived with the recorded one."""
    header = recording.header
    assert received.method == header.method
    assert unquote(received.path) == header.path
    assert received.request_body == header.request_body
    assert [pair for pair in sorted(received.request_headers) if pair[0] != lacks] == [
        pair for pair in sorted(header.request_headers) if pair[0] != lacks
    ]


@need_curl
class TestCurl:
    @pytest.mark.parametrize("skill", REQUESTS)
    def test_it_sends_the_recorded_request(self, receiver: Receiver, folder: Path, skill: str):
        recording = RECORDED[skill]
        receiver.answer = recording
        command = take_away(recording)["curl"]
        out = run_curl(command, receiver.url, folder)
        received, headers = receiver.received()
        assert_same(received, recording)
        name, value = (
            ("authorization", f"Bearer {KEY}") if skill == "chat" else ("x-moondream-auth", KEY)
        )
        assert headers[name] == value
        assert out.encode() == b"".join(chunk.data for chunk in recording.chunks)

    def test_without_a_key_and_an_endpoint(self, receiver: Receiver, folder: Path):
        command = take_away(RECORDED["chat"])["curl"]
        run_curl(command, receiver.url, folder, key="")
        assert "authorization" not in receiver.received()[1]
        run_curl(take_away(RECORDED["query"])["curl"], receiver.url, folder, key="")
        assert "x-moondream-auth" not in receiver.received()[1]
        with pytest.raises(AssertionError, match="has to be the address of the server"):
            run_curl(command, "", folder)

    def test_hostile_texts_are_only_texts(self, receiver: Receiver, folder: Path):
        recording = recording_of(QueryRequest(question="x", image=PIXEL))
        header = replace(
            recording.header,
            path='/v1/it\'s "$(touch pwned)" `touch pwned` ;&|#?月..',
            request_headers=(
                ("accept", 'it\'s "$(touch pwned)" `touch pwned` %s'),
                ("content-type", ""),
                ("user-agent", "\x1b[201~ a terminal's escape"),
            ),
            request_body={**recording.header.request_body, "question": HOSTILE, HOSTILE: [1, {}]},
        )
        (folder / "picture.gif").write_bytes(PIXEL.data)
        command = take_away(replace(recording, header=header))["curl"]
        assert "\u202e" not in command and "\x1b" not in command and "\x7f" not in command
        run_curl(command, receiver.url, folder)
        received, headers = receiver.received()
        assert unquote(received.path) == header.path
        # No body in UTF-8 has half of a surrogate pair, so a recorder replaces it.
        sent = json.dumps(header.request_body).replace("\\ud83c ", "\\ufffd ")
        assert received.request_body == json.loads(sent)
        assert headers["accept"] == dict(header.request_headers)["accept"]
        assert headers["content-type"] == ""
        assert "user-agent" not in headers
        assert sorted(path.name for path in folder.iterdir()) == ["picture.gif", "picture.jpg"]

    def test_a_request_that_is_not_one_of_http(self):
        header = replace(RECORDED["query"].header, method="GET / HTTP/1.1\r\nx: y\r\n\r\nPOST")
        forms = take_away(replace(RECORDED["query"], header=header))
        for form in (forms["curl"], forms["python"]):
            assert all(line.startswith("#") for line in form.splitlines())
            assert "none of HTTP" in form


class TestPython:
    @pytest.mark.parametrize("skill", REQUESTS)
    def test_it_sends_the_recorded_request(
        self, receiver: Receiver, folder: Path, monkeypatch: pytest.MonkeyPatch, skill: str
    ):
        recording = RECORDED[skill]
        receiver.answer = recording
        program = take_away(recording)["python"]
        out = run_python(program, receiver.url, monkeypatch)
        received, headers = receiver.received()
        assert_same(received, recording)
        assert KEY in headers["authorization" if skill == "chat" else "x-moondream-auth"]
        assert type(REQUESTS[skill]).__name__ in program
        assert "_result" not in out and "Result" in out

    @pytest.mark.parametrize(
        "recording",
        [
            recording_of(
                ChatRequest(
                    messages=[
                        ChatMessage("system", HOSTILE.replace("\ud83c", "")),
                        ChatMessage("user", [EncodedImage(PIXEL.data_url, "low"), "What's that?"]),
                        ChatMessage("assistant", "A pixel."),
                        ChatMessage("user", "Sure?"),
                    ],
                    settings=Settings(temperature=0.5, max_tokens=10),
                    reasoning=False,
                ),
                seed=1,
                stop=["x", None, True],
            ),
            recording_of(
                SegmentRequest(
                    image=PIXEL,
                    object='it\'s "this"',
                    spatial_refs=[(0.25, 0.5), (0, 0, 1, 1)],
                    settings=Settings(top_p=0.5),
                    model="moondream3-preview",
                ),
                stream=False,
                settings={"top_p": 0.5, "beams": 4},
            ),
            recording_of(QueryRequest(question="x", reasoning=True), picture=PIXEL.data_url),
            recording_of(QueryRequest(question="x"), question=""),  # the service refuses it
        ],
        ids=["chat", "segment", "query", "refused"],
    )
    def test_fields_of_all_kinds(
        self,
        receiver: Receiver,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        recording: Recording,
    ):
        (folder / "picture.gif").write_bytes(PIXEL.data)
        skill = recording.header.path.removesuffix("/completions").rpartition("/")[2]
        receiver.answer = RECORDED[skill]
        run_python(take_away(recording)["python"], receiver.url, monkeypatch)
        assert_same(receiver.received()[0], recording)

    def test_two_pictures_and_another_client(
        self, receiver: Receiver, folder: Path, monkeypatch: pytest.MonkeyPatch
    ):
        other = EncodedImage(PIXEL.data_url.replace("R0lGODlhAQAB", "R0lGODlhAgAC"))
        said = [ChatMessage("user", [PIXEL, other, PIXEL, "Which?"])]
        recording = recording_of(ChatRequest(messages=said))
        headers = (*recording.header.request_headers, ("accept-encoding", "gzip, br"))
        kept = tuple(pair for pair in headers if pair != ("accept-encoding", "identity"))
        recording = replace(recording, header=replace(recording.header, request_headers=kept))
        forms = take_away(recording)
        for number, image in (1, PIXEL), (2, other):
            (folder / f"picture-{number}.gif").write_bytes(image.data)
            digest = hashlib.sha256(image.data).hexdigest()[:12]
            assert any(f"picture-{number}.gif" in x and digest in x for x in forms["left_out"])
        receiver.answer = RECORDED["chat"]
        run_python(forms["python"], receiver.url, monkeypatch)
        assert_same(receiver.received()[0], recording, lacks="accept-encoding")
        assert "it does not send accept-encoding: gzip, br" in forms["python"]
        if shutil.which("curl"):
            run_curl(forms["curl"], receiver.url, folder)
            assert_same(receiver.received()[0], recording)


@pytest.mark.slow
@need_curl
def test_the_forms_ask_serve(folder: Path):
    """`serve` answers only what equals the recorded request, its picture included."""
    (folder / "recordings").mkdir()
    with running("serve", str(SHIPPED), "--speed", "max", "--match", "exact") as program:
        environment = {**os.environ, "MOONDREAM_ENDPOINT": program.url, "NO_PROXY": "*"}
        for skill, recording in RECORDED.items():
            forms = take_away(recording)
            body = b"".join(chunk.data for chunk in recording.chunks)
            assert run_curl(forms["curl"], program.url, folder).encode() == body, skill
            (folder / "taken.py").write_text(forms["python"], encoding="utf-8")
            done = subprocess.run(
                [sys.executable, "taken.py"],
                capture_output=True,
                cwd=folder,
                env=environment,
                timeout=60,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, b""), skill
            assert b"Result" in done.stdout
            shutil.copy(str(SHIPPED / "harbour.jpg"), folder / "picture.jpg")
        (folder / "picture.jpg").write_bytes(PIXEL.data)
        other = run_curl(take_away(RECORDED["detect"])["curl"], program.url, folder)
        assert "no recording" in other.lower()


@pytest.mark.parametrize("skill", REQUESTS)
def test_the_recording_is_the_file(skill: str):
    forms: TakeAway = take_away(RECORDED[skill])
    assert Recording.decode(forms["recording"].encode()) == RECORDED[skill]
    assert all(KEY not in form for form in forms["left_out"])

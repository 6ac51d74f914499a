"""The folder of `moondream-stream serve`. It may come from somebody else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from moondream_tools.cli import Exit, main
from sansio_moondream.recording import OMITTED, Chunk, Ending, Recording, RecordingHeader
from tests.helpers import END, delta
from tests.tools.programs import Program, running, write
from tests.tools.serving import SHIPPED, http_request, raw

STREAM = (("content-type", "text/event-stream"),)
GOOD = Recording(
    RecordingHeader("POST", "/v1/query", (), {"question": "good", "stream": True}, 200, STREAM),
    (Chunk(0, delta("A moon")), Chunk(0, END)),
    Ending(0),
)
SECRET = b"root-password: s3cret"


def asking(question: str) -> str:
    return f'{{"question": "{question}", "stream": true}}'


def recording(question: str, status_code: int = 200, *fields: tuple[str, str]) -> bytes:
    header = replace(
        GOOD.header,
        request_body={"question": question, "stream": True},
        status_code=status_code,
        response_headers=(*STREAM, *fields),
    )
    return replace(GOOD, header=header).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server whose folder has everything that may be there."""
    outside = tmp_path_factory.mktemp("outside")
    write(outside, "secrets.txt", SECRET + b"\n")
    write(outside / "inner", "linked.jsonl", SECRET + b"\n")
    folder = tmp_path_factory.mktemp("recordings")
    write(folder / "a", "good.jsonl", GOOD.encode())
    write(folder, "no-json.jsonl", b"what?\n")
    write(folder, "no-end.jsonl", GOOD.encode().splitlines(keepends=True)[0])
    write(folder, "empty.jsonl", b"")
    write(folder, "long.jsonl", b"[" * (1 << 24) + b"[")
    write(folder, "split.jsonl", recording("split", 200, ("x-id", "7\r\nX-Injected: yes")))
    write(folder, "length.jsonl", recording("length", 204))
    write(folder, "status.jsonl", recording("status", 150))
    write(folder, "letters.jsonl", recording("letters", 200, ("x-moon", " 月 "), ("x-e", "é")))
    whole = replace(GOOD, ending=Ending(0, OMITTED, "7 bytes"))
    write(folder, "omitted.jsonl", whole.encode().replace(b"good", b"omitted"))
    cut = replace(whole, chunks=GOOD.chunks[:1])
    write(folder, "cut.jsonl", cut.encode().replace(b"good", b"cut"))
    (folder / "link.jsonl").symlink_to(outside / "secrets.txt")
    (folder / "inside.jsonl").symlink_to(Path("a") / "good.jsonl")
    (folder / "device.jsonl").symlink_to("/dev/zero")
    (folder / "broken-link.jsonl").symlink_to("nothing")
    (folder / "inner").symlink_to(outside / "inner")
    (folder / "folder.jsonl").mkdir()
    os.mkfifo(folder / "fifo.jsonl")
    with running("serve", folder, "--speed", "max", "--match", "exact") as program:
        yield program


def test_what_is_served(server: Program) -> None:
    assert http_request(server, body=asking("good"))[0] == 200
    server.wait_for_line("6 recordings of ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no-json", "line 1: the line is not JSON"),
        ("no-end", "the recording stops without its ending"),
        ("empty", "the recording is empty"),
        ("long", "the line is longer than 16,777,216 bytes"),
        ("split", "the header field x-id should be a single line"),
        ("link", "should be a regular file, but it is a link"),
        ("inside", "should be a regular file, but it is a link"),
        ("device", "should be a regular file, but it is a link"),
        ("broken-link", "should be a regular file, but it is a link"),
        ("folder", "should be a regular file, but it is something else"),
        ("fifo", "should be a regular file, but it is something else"),
    ],
)
def test_what_is_skipped(server: Program, name: str, words: str) -> None:
    line = server.wait_for_line(f"skipped {name}.jsonl: ", words)
    assert "s3cret" not in line


def test_no_folder_outside_is_read(server: Program) -> None:
    http_request(server, body=asking("good"))
    assert not any("linked" in line or "s3cret" in line for line in server.lines)


@pytest.mark.parametrize("question", ["length", "status"])
def test_what_is_no_valid_http(server: Program, question: str) -> None:
    """Its connection is closed, and the log says why."""
    so_far = len(server.lines)
    body = asking(question)
    head = f"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    raw(server, (head + body).encode())
    server.wait_for_line(f"{question}.jsonl, which is no valid HTTP: ", after=so_far)


def test_header_values_that_bytes_cannot_spell(server: Program) -> None:
    status, fields, _ = http_request(server, body=asking("letters"))
    assert (status, fields["x-moon"], fields["x-e"]) == (200, "?", "é")


def test_what_was_left_out(server: Program) -> None:
    """Behind a whole answer nothing is missed."""
    whole = http_request(server, body=asking("omitted"))
    assert whole[2] == b"".join(chunk.data for chunk in GOOD.chunks)
    body = asking("cut")
    head = f"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    received = raw(server, (head + body).encode())
    assert GOOD.chunks[0].data in received
    assert not received.endswith(b"0\r\n\r\n")


def test_nothing_that_can_be_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.jsonl").symlink_to("/etc/passwd")
    assert main(["serve", str(tmp_path)]) == Exit.USAGE
    assert "no recording that can be read; skipped one.jsonl: one.jsonl should" in (
        capsys.readouterr().err
    )


def test_one_recording(tmp_path: Path) -> None:
    """A link that the caller names is followed."""
    write(tmp_path, "good.jsonl", GOOD.encode())
    link = tmp_path / "link.jsonl"
    link.symlink_to("good.jsonl")
    with running("serve", link, "--speed", "max") as server:
        server.wait_for_line(f"1 recording of {link}; ")
        assert http_request(server)[2] == b"".join(chunk.data for chunk in GOOD.chunks)
        server.wait_for_line("POST /v1/query 200", "link.jsonl")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("harbour.jpg", "harbour.jpg cannot be read as a recording: harbour.jpg, line 1: "),
        ("none.jsonl", "none.jsonl is neither a recording nor a folder with recordings"),
    ],
)
def test_what_is_no_recording(name: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(SHIPPED / name)]) == Exit.USAGE
    assert words in capsys.readouterr().err

"""`moondream-stream inspect` as a program: its address, its end, its files, what is wrong."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import stat
import sys
import threading
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from moondream_tools._arguments import make_parser
from moondream_tools._inspect import _command
from moondream_tools.cli import Exit
from tests.guides import ROOT
from tests.helpers import PIXEL
from tests.tools.inspect.page_server import HARBOUR, SHIPPED
from tests.tools.programs import running


def test_it_serves_until_a_signal(tmp_path: Path) -> None:
    """It prints its address first, logs what is refused without the token, and ends by Ctrl+C."""
    (tmp_path / "broken.jsonl").write_bytes(b"{}\n")
    (tmp_path / "query.jsonl").write_bytes((SHIPPED / "query.jsonl").read_bytes())
    with running("inspect", tmp_path, "--no-open") as program:
        token = program.url.split("/")[3]
        assert len(token) == 32
        connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=20)
        for path, status in (("", 200), ("api/recordings", 200), ("api/trace/none", 404)):
            connection.request("GET", f"/{token}/{path}")
            response = connection.getresponse()
            response.read()
            assert response.status == status
        connection.close()
        program.wait_for_line("GET /…/api/trace/none 404", "there is no recording 'none'")
        status, log = program.stopped(signal.SIGINT)
        assert status == Exit.OK
        assert token not in log
        assert "moondream-stream: broken.jsonl, line 1: the first line should be the header" in log
        assert f"2 recordings of {tmp_path}; Ctrl+C stops\n" in log
        assert "/api/recordings" not in log


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{tmp}/none"], "none is neither a recording nor a folder with recordings"),
        (["{tmp}"], "has no recordings (*.jsonl); make some with"),
        (["{shipped}", "--image", "{tmp}/none.jpg"], "{tmp}/none.jpg: no such file"),
        (["{shipped}", "--image", "{shipped}/query.jsonl"], "query.jsonl"),
        (["{shipped}", "--port", "{taken}"], "in use by another program: choose another --port"),
        (["{shipped}", "--port", "70000"], "the port should be a number from 0 to 65535"),
        (["{shipped}", "--export", "{tmp}/none/x.html"], "--export: {tmp}/none/x.html: no such"),
        (["{shipped}", "--export", "{tmp}"], "--export: {tmp}: is a directory"),
        (["{shipped}", "--export", "x.html", "--endpoint", "http://localhost:1/v1"], "only one"),
        (["--endpoint", "localhost"], "did you mean http://localhost/v1"),
        (["{broken}", "--export", "{tmp}/x.html"], "no recording can be read: nothing is written"),
    ],
)
def test_usage(arguments: list[str], words: str, tmp_path: Path, run: Any) -> None:
    broken = tmp_path / "elsewhere"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        names = {
            "tmp": tmp_path,
            "shipped": SHIPPED,
            "taken": taken.getsockname()[1],
            "broken": broken,
        }
        if "{broken}" in arguments:
            broken.mkdir()
            (broken / "a.jsonl").write_bytes(b"{}\n")
        ran = run("inspect", *(argument.format(**names) for argument in arguments))
    assert ran.status == Exit.USAGE, ran.err
    assert (ran.out, words.format(**names) in ran.err) == ("", True), ran.err
    assert not (tmp_path / "x.html").exists()


class TestExport:
    def test_a_file(self, tmp_path: Path, run: Any) -> None:
        """It is written whole, replaces the old one, and keeps its mode."""
        file = tmp_path / "page.html"
        file.write_text("old")
        file.chmod(0o640)
        ran = run("inspect", SHIPPED, "--image", HARBOUR, "--export", file)
        assert (ran.status, ran.out) == (Exit.OK, ""), ran.err
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        page = file.read_text()
        assert page.startswith("<!doctype html>") and page.endswith("</html>\n")
        assert os.listdir(tmp_path) == ["page.html"]

    def test_standard_output_and_its_errors(self, capfdbinary: Any) -> None:
        from moondream_tools.cli import main

        arguments = ["inspect", str(SHIPPED / "point.jsonl"), "--export"]
        assert main([*arguments, "-"]) == Exit.OK
        out, err = capfdbinary.readouterr()
        assert out.startswith(b"<!doctype html>") and err == b""

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_a_full_disk(self, run: Any) -> None:
        ran = run("inspect", SHIPPED / "point.jsonl", "--export", "/dev/full")
        assert ran.status == Exit.USAGE
        assert "--export: /dev/full: no space left on device" in ran.err
        assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)

    def test_some_that_cannot_be_read(self, tmp_path: Path, run: Any) -> None:
        (tmp_path / "good.jsonl").write_bytes((SHIPPED / "point.jsonl").read_bytes())
        (tmp_path / "bad.jsonl").write_bytes(b"[]\n")
        ran = run("inspect", tmp_path, "--export", tmp_path / "page.html")
        assert ran.status == Exit.USAGE
        assert "bad.jsonl, line 1: the first line should be the header" in ran.err
        assert "the first line should be the header" in (tmp_path / "page.html").read_text()


class TestTheBrowser:
    @pytest.mark.parametrize(
        ("asked", "terminal", "environment", "opened"),
        [
            (None, True, {"DISPLAY": ":0"}, True),
            (None, True, {"WAYLAND_DISPLAY": "x"}, True),
            (None, True, {"DISPLAY": ":0", "SSH_CONNECTION": "1"}, False),
            (None, True, {}, False),
            (None, False, {"DISPLAY": ":0"}, False),
            (True, False, {}, True),
            (False, True, {"DISPLAY": ":0"}, False),
        ],
    )
    @pytest.mark.skipif(sys.platform != "linux", reason="others always have a desktop")
    def test_when_it_is_opened(
        self,
        asked: bool | None,
        terminal: bool,
        environment: dict[str, str],
        opened: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
        assert _command.is_opened(asked, environment) is opened

    @pytest.mark.slow
    def test_it_gets_the_address(self, tmp_path: Path) -> None:
        """A browser is a program that `BROWSER` names."""
        seen = tmp_path / "seen"
        script = tmp_path / "browser"
        script.write_text(f'#!/bin/sh\necho "$1" >> "{seen}.part"; mv "{seen}.part" "{seen}"\n')
        script.chmod(0o755)
        with running("inspect", SHIPPED, "--open", BROWSER=f"{script} %s") as program:
            deadline = threading.Event()
            for _ in range(200):
                if seen.exists():
                    break
                deadline.wait(0.1)
            assert seen.read_text().strip() == program.url


def test_the_page_of_this_program_needs_no_arguments(run: Any, tmp_path: Path) -> None:
    """Without a recording it shows those of this program, with their picture."""
    file = tmp_path / "page.html"
    assert run("inspect", "--export", file).status == Exit.OK
    shipped = files("moondream_tools") / "recordings"
    names = [each.name for each in shipped.iterdir() if each.name.endswith(".jsonl")]
    page = file.read_text()
    assert len(names) == 6 and all(f'"{name}"' in page for name in names)
    assert page.count('"image":"recorded"') == 6


def test_pictures_without_pillow(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What browsers show needs no Pillow."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    picture = tmp_path / "pixel.gif"
    picture.write_bytes(PIXEL.data)
    file = tmp_path / "page.html"
    ran = run("inspect", SHIPPED / "point.jsonl", "--image", picture, "--export", file)
    assert ran.status == Exit.OK, ran.err
    assert PIXEL.data_url in file.read_text()


def test_the_commands_of_the_guide(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All can be parsed, and the one that ends by itself does what the guide says."""
    guide = (ROOT / "docs" / "how-to" / "inspect.md").read_text("utf-8")
    commands = re.findall(r"^moondream-stream (inspect.*)$", guide, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        make_parser().parse_args(command.split())
    (export,) = (command for command in commands if "--export" in command)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SHIPPED, "recordings")
    shutil.copy(HARBOUR, "photo.jpg")
    ran = run(*export.split())
    assert (ran.status, ran.out, ran.err) == (Exit.OK, "", "")
    assert "data:image/jpeg;base64," in Path("page.html").read_text()

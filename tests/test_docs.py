"""Every code block of README and docs runs, every link leads somewhere, and what is generated is up to date."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sansio_moondream import ChatResult, Completed, Dialect, Event, Metadata, Reasoning, ReasoningDelta, TextDelta, Usage, encode_events
from tests.helpers import TRACES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
# Kinds of blocks that are no program: a diagram, and the make targets, which would run these tests again.
NOT_RUN = {"mermaid", "sh"}


CHAT_USAGE = {"prompt_tokens": 740, "completion_tokens": 3, "total_tokens": 743}


class Service(BaseHTTPRequestHandler):
    """Answers each skill with its captured response, streamed or whole as asked; a chat with one made up, as none was captured."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        skill = self.path.removeprefix("/v1/")
        if skill == "chat/completions":
            return self.chat(asked["stream"])
        name = f"engine-{skill}" if asked.get("stream") else f"engine-{skill}-whole"
        trace = next(trace for trace in TRACES if trace.name == name)
        self.send_response(trace.status_code)
        for header, value in trace.headers:
            if header in ("content-type", "content-length"):
                self.send_header(header, value)
        self.end_headers()
        self.wfile.write(trace.body)
        return None

    def chat(self, stream: bool) -> None:
        text, thought = "A moon over the sea.", "It is round."
        about = Metadata(finish_reason="stop", usage=Usage(*CHAT_USAGE.values()))
        events: list[Event] = [ReasoningDelta(thought), TextDelta(text), Completed(ChatResult(text, Reasoning(thought), about))]
        choice = {"message": {"content": text, "reasoning": thought}, "finish_reason": "stop"}
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if stream else "application/json")
        self.end_headers()
        whole = json.dumps({"choices": [choice], "usage": CHAT_USAGE}).encode()
        self.wfile.write(encode_events(events, Dialect.CHAT) if stream else whole)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(kind, code) for kind, code in BLOCK.findall(page.read_text()) if kind not in NOT_RUN]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_are_of_a_kind_that_is_run_or_known_not_to_be(page: Path):
    assert {kind for kind, _ in blocks(page)} <= {"python", "console"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run_one_after_the_other(page: Path, port: int, tmp_path: Path):
    code = "\n".join(code for kind, code in blocks(page) if kind == "python").replace("localhost:2020", f"127.0.0.1:{port}")
    Image.new("RGB", (32, 32), "gray").save(tmp_path / "moon.jpg")
    done = run([sys.executable, "-W", "error", "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_console_blocks_print_what_they_say(page: Path, port: int, tmp_path: Path):
    Image.new("RGB", (32, 32), "gray").save(tmp_path / "moon.jpg")
    for kind, code in blocks(page):
        if kind == "console":
            command, _, expected = code.removeprefix("$ ").partition("\n")
            done = run(["sh", "-c", command.replace("localhost:2020", f"127.0.0.1:{port}")], tmp_path)
            assert done.stdout + done.stderr == expected


def test_the_command_line_of_the_readme_runs(port: int, tmp_path: Path):
    command = re.search(r"`(moondream-stream segment [^`]+)`", (ROOT / "README.md").read_text().replace("\n", " "))
    assert command is not None
    Image.new("RGB", (32, 32), "gray").save(tmp_path / "moon.jpg")
    done = run(["sh", "-c", command[1].replace("localhost:2020", f"127.0.0.1:{port}")], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "M.941,.500C.954" in done.stdout


@pytest.mark.parametrize(
    "page", [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path):
    for target in LINK.findall(page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_diagram_is_the_table():
    spec = util.spec_from_file_location("make_diagram", ROOT / "docs" / "make_diagram.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "state-machine.md").read_text()
    assert module.page_with_diagram(page) == page, "run: python docs/make_diagram.py"
    assert module.diagram() in page


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, env={**os.environ, "PATH": path})

"""Every code block of README and docs runs, every link leads somewhere, and what is generated is up
to date.

Blocks that are files (see `guides.py`) are imported by the others.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module, util
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from sansio_moondream import (
    ChatResult,
    Completed,
    Dialect,
    Event,
    Metadata,
    Reasoning,
    ReasoningDelta,
    TextDelta,
    Usage,
    encode_events,
)
from sansio_moondream.recording import Recording
from sansio_moondream.relay import _refusals
from tests import guides
from tests.guides import BLOCK, NAME, ROOT, write_files
from tests.helpers import TRACES

PAGES = [ROOT / "README.md", *guides.PAGES]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
# Kinds of blocks that are not run here: a diagram, a file's content, words, the make targets, which
# would run these tests again, and what the tests of a page run: test_serve_docs.py of the tools,
# test_javascript.py and browser/ of the relay.
NOT_RUN = {"html", "js", "json", "mermaid", "nginx", "sh", "text"}


CHAT_USAGE = {"prompt_tokens": 740, "completion_tokens": 3, "total_tokens": 743}


class Service(BaseHTTPRequestHandler):
    """Answers each skill with its captured response, streamed or whole as asked; a chat with one
    made up, as none was captured; another path with a 404.
    """

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        skill = self.path.removeprefix("/v1/")
        if skill == "chat/completions":
            return self.chat(asked["stream"])
        name = f"engine-{skill}" if asked.get("stream") else f"engine-{skill}-whole"
        if not self.path.startswith("/v1/"):
            name = "engine-404"
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
        events: list[Event] = [
            ReasoningDelta(thought),
            TextDelta(text),
            Completed(ChatResult(text, Reasoning(thought), about)),
        ]
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


# Hypothesis complains of slow examples, and on a busy machine every example is slow.
PATIENT_HYPOTHESIS = """\
from hypothesis import HealthCheck, settings
settings.register_profile("docs", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("docs")
"""


def blocks(page: Path, not_run: Collection[str] = NOT_RUN) -> list[tuple[str, str]]:
    return [(kind, code) for kind, code in BLOCK.findall(page.read_text()) if kind not in not_run]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_are_of_a_kind_that_is_run_or_known_not_to_be(page: Path):
    assert {kind for kind, _ in blocks(page)} <= {"python", "console"}


# Its blocks have a test of their own, as it is too large to be there always.
LARGE_LIBRARY = "import supervision\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.slow
def test_python_blocks_run_one_after_the_other(page: Path, port: int, tmp_path: Path):
    run_programs(
        page, [code for code in programs(page) if LARGE_LIBRARY not in code], port, tmp_path
    )


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if LARGE_LIBRARY in page.read_text()],
    ids=lambda page: page.name,
)
@pytest.mark.slow
def test_blocks_that_need_a_large_library_run(page: Path, port: int, tmp_path: Path):
    if util.find_spec("supervision") is None:
        pytest.skip("needs supervision: `make ci-tools`")
    run_programs(page, programs(page), port, tmp_path, warnings="default")  # it has its own


def programs(page: Path) -> list[str]:
    return [code for kind, code in blocks(page) if kind == "python" and not NAME.match(code)]


def run_programs(
    page: Path, programs: list[str], port: int, folder: Path, *, warnings: str = "error"
) -> None:
    write_files(page, folder)
    code = "\n".join(programs).replace("localhost:2020", f"127.0.0.1:{port}")
    Image.new("RGB", (32, 32), "gray").save(folder / "moon.jpg")
    if "import cv2" in code:
        shutil.copy(ROOT / "tests" / "cv2_stand_in.py", folder / "cv2.py")
    if "from hypothesis import" in code:
        code = PATIENT_HYPOTHESIS + code
    done = run([sys.executable, "-W", warnings, "-c", code], folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "\n# test_" in page.read_text()], ids=lambda page: page.name
)
@pytest.mark.slow
def test_files_of_tests_pass(page: Path, port: int, tmp_path: Path):
    for file in write_files(page, tmp_path):
        file.write_text(file.read_text().replace("localhost:2020", f"127.0.0.1:{port}"))
    records = "--moondream-record=once" in page.read_text()
    for options in (["--moondream-record=once"], ["--moondream-record=none"]) if records else ([],):
        done = run(
            [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", *options],
            tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.slow
def test_console_blocks_print_what_they_say(page: Path, port: int, tmp_path: Path):
    Image.new("RGB", (32, 32), "gray").save(tmp_path / "moon.jpg")
    for kind, code in blocks(page):
        if kind == "console":
            command, _, expected = code.removeprefix("$ ").partition("\n")
            done = run(
                ["sh", "-c", command.replace("localhost:2020", f"127.0.0.1:{port}")], tmp_path
            )
            assert done.stdout + done.stderr == expected


@pytest.mark.slow
def test_the_command_line_of_the_readme_runs(port: int, tmp_path: Path):
    command = re.search(
        r"`(moondream-stream segment [^`]+)`", (ROOT / "README.md").read_text().replace("\n", " ")
    )
    assert command is not None
    Image.new("RGB", (32, 32), "gray").save(tmp_path / "moon.jpg")
    done = run(["sh", "-c", command[1].replace("localhost:2020", f"127.0.0.1:{port}")], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "M.941,.500C.954" in done.stdout


def test_the_example_of_the_format_is_a_recording():
    (content,) = (
        code
        for kind, code in blocks(ROOT / "docs" / "how-to" / "recordings.md", not_run=())
        if kind == "json"
    )
    recording = Recording.decode(content.encode())
    assert (recording.header.status_code, [chunk.data for chunk in recording.chunks]) == (
        200,
        [b'data: {"chunk": " moon"}\n\n', b"\x80\x81"],
    )


@pytest.mark.parametrize(
    "page",
    [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))],
    ids=lambda page: page.name,
)
def test_links_lead_somewhere(page: Path):
    for target in LINK.findall(page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_index_has_every_page():
    docs = ROOT / "docs"
    listed = LINK.findall((docs / "index.md").read_text())
    pages = {page.relative_to(docs).as_posix() for page in guides.PAGES}
    assert sorted(listed) == sorted(pages - {"index.md"})


def test_the_diagram_is_the_table():
    module = import_module("make_diagram")
    page = (ROOT / "docs" / "why" / "state-machine.md").read_text()
    picture = (ROOT / "docs" / "pictures" / "state-machine.svg").read_text("utf-8")
    assert module.page_with_table(page) == page, "run: python docs/make_diagram.py"
    assert module.table() in page
    assert module.diagram() == picture, "run: python docs/make_diagram.py"


def test_the_page_of_the_command_line_is_what_the_parsers_say():
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text("utf-8")
    assert import_module("make_command_line").page() == page, (
        "run: python docs/make_command_line.py"
    )


def test_the_pictures_are_what_the_script_makes():
    made = import_module("make_pictures").pictures()
    assert set(made) == {path.name for path in (ROOT / "docs" / "pictures").glob("*.png")}
    for name, picture in made.items():
        with Image.open(ROOT / "docs" / "pictures" / name) as shipped:
            difference = ImageChops.difference(shipped.convert("RGB"), picture).convert("L")
        # Shipped with fewer colours, and made larger by whichever Pillow there is.
        assert sum(difference.histogram()[32:]) < 0.01 * picture.width * picture.height, (
            "run: python docs/make_pictures.py"
        )


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": path},
    )


def test_the_page_about_formats_names_each_error_of_a_relay() -> None:
    page = (ROOT / "docs" / "reference" / "relay-formats.md").read_text("utf-8")
    source = Path(_refusals.__file__).read_text("utf-8")
    types = re.findall(r'type="(\w+)"', source)
    assert len(types) == source.count("\ndef ")
    assert [type_ for type_ in types if f"`{type_}`" not in page] == []

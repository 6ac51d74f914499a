"""Every code block of README and docs runs, every link leads somewhere, and what is generated is up
to date.

Blocks that are files (see `guides.py`) are imported by the others.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from importlib import import_module, util
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from sansio_moondream.recording import Recording
from sansio_moondream.relay import _refusals
from tests import guides
from tests.guides import BLOCK, NAME, ROOT, write_files
from tests.tools.programs import running

PAGES = [ROOT / "README.md", *guides.PAGES]
HARBOUR = ROOT / "tools" / "moondream_tools" / "recordings" / "harbour.jpg"
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
# Kinds of blocks that are not run here: a diagram, a file's content, words, the make targets, which
# would run these tests again, and what the tests of a page run: test_serve_docs.py of the tools,
# test_javascript.py and browser/ of the relay.
NOT_RUN = {"html", "js", "json", "mermaid", "nginx", "sh", "text"}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Run the server that the pages name for all who have none."""
    with running("serve", "--speed", "max") as server:
        yield server.port


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


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "how-to").glob("*.md")), ids=lambda page: page.name
)
def test_a_guide_opens_with_a_whole_program_that_is_short(page: Path):
    opening = BLOCK.search(page.read_text())
    assert opening is not None
    assert opening.string.count("\n", 0, opening.start()) < 10
    assert len([line for line in opening[2].splitlines() if line]) < 25


# Their blocks have tests of their own, as they are too large to be there always. Those with Ray are
# run by tests/tools/test_bulk_ray_show.py, which has a cluster.
LARGE_LIBRARIES = {"supervision": "import supervision\n", "pandas": "import pandas as pd\n"}
RAY = "import ray\n"


def libraries_of(text: str) -> list[str]:
    """The large libraries that a text imports, but for Ray."""
    return [name for name, line in LARGE_LIBRARIES.items() if line in text]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.slow
def test_python_blocks_run_one_after_the_other(page: Path, port: int, tmp_path: Path):
    small = [code for code in programs(page) if not libraries_of(code) and RAY not in code]
    run_programs(page, small, port, tmp_path)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if libraries_of(page.read_text())],
    ids=lambda page: page.name,
)
@pytest.mark.slow
def test_blocks_that_need_a_large_library_run(page: Path, port: int, tmp_path: Path):
    for name in libraries_of(page.read_text()):
        if util.find_spec(name) is None:
            pytest.skip(f"needs {name}: `make ci-tools`")
    run_programs(page, programs(page), port, tmp_path, warnings="default")  # they have their own


# What a program prints stands behind it, if the page says so.
PRINTED = re.compile(
    r"^```python\n((?:(?!^```).)*)^```\n\nIt prints:\n\n```text\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
BETWEEN = "\0\n"


def programs(page: Path) -> list[str]:
    return [code for kind, code in blocks(page) if kind == "python" and not NAME.match(code)]


def run_programs(
    page: Path, programs: list[str], port: int, folder: Path, *, warnings: str = "error"
) -> None:
    if not programs:
        return
    write_files(page, folder)
    code = '\nprint("\\0", flush=True)\n'.join(programs)
    code = code.replace("localhost:2020", f"127.0.0.1:{port}")
    Image.new("RGB", (32, 32), "gray").save(folder / "moon.jpg")
    shutil.copy(HARBOUR, folder)
    if "import cv2" in code:
        shutil.copy(ROOT / "tests" / "cv2_stand_in.py", folder / "cv2.py")
    if "from hypothesis import" in code:
        code = PATIENT_HYPOTHESIS + code
    done = run([sys.executable, "-W", warnings, "-c", code], folder)
    assert done.returncode == 0, done.stderr
    printed = dict(zip(programs, done.stdout.split(BETWEEN), strict=True))
    for program, expected in PRINTED.findall(page.read_text()):
        assert printed[program].replace(f"127.0.0.1:{port}", "localhost:2020") == expected


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
    shutil.copy(HARBOUR, tmp_path)
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
    shutil.copy(HARBOUR, tmp_path)
    done = run(["sh", "-c", command[1].replace("localhost:2020", f"127.0.0.1:{port}")], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\npath  " in done.stdout


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


def all_pages() -> list[Path]:
    """Return the Markdown files of this project, and nothing that an environment brought."""
    folders = ("benchmarks", "examples", "tests/data", "tools")
    below = [page for folder in folders for page in (ROOT / folder).rglob("*.md")]
    kept = [page for page in below if not {".venv", ".pytest_cache"} & set(page.parts)]
    return [*ROOT.glob("*.md"), *guides.PAGES, *kept]


def test_links_lead_somewhere():
    for page in all_pages():
        for target in LINK.findall(page.read_text("utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), (page, target)


def test_tables_have_a_head_and_as_many_cells_in_each_row():
    """A row that stands apart, or lacks a cell, is shown as bars and words."""
    for page in all_pages():
        text = BLOCK.sub("", page.read_text("utf-8"))
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            rows = table.splitlines()
            assert re.fullmatch(r"\|(?: :?-+:? \|)+", rows[1] if rows[1:] else ""), (page, rows[0])
            cells = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
            assert set(cells) == {cells[0]}, (page, rows[cells.index(min(cells))])


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 120


def test_the_index_has_every_page():
    listed = LINK.findall((guides.DOCS / "index.md").read_text())
    pages = {page.relative_to(guides.DOCS).as_posix() for page in guides.PAGES}
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


def is_like(shipped: Image.Image, made: Image.Image) -> bool:
    """Compare pictures: shipped with fewer colours, and drawn by whichever Pillow there is."""
    difference = ImageChops.difference(shipped.convert("RGB"), made).convert("L")
    return sum(difference.histogram()[32:]) < 0.01 * made.width * made.height


PICTURES = ROOT / "docs" / "pictures"


# Made by docs/make_inspect_pictures.py with Chromium, whose fonts differ by machine.
OF_THE_PAGE = sorted(PICTURES.glob("inspect*.png"))


def test_the_pictures_of_the_page_are_small_and_shown():
    guide = (ROOT / "docs" / "how-to" / "inspect.md").read_text("utf-8")
    assert len(OF_THE_PAGE) == 2
    for path in OF_THE_PAGE:
        assert path.stat().st_size < 150_000
        assert f"](../pictures/{path.name})" in guide


def test_the_pictures_are_what_the_script_makes():
    made = import_module("make_pictures").pictures()
    shipped_names = {path.name for path in PICTURES.glob("*.png")}
    assert {*made, "stream.png"} == shipped_names - {path.name for path in OF_THE_PAGE}
    for name, picture in made.items():
        with Image.open(PICTURES / name) as shipped:
            assert is_like(shipped, picture), "run: python docs/make_pictures.py"


def test_the_animation_is_what_the_script_makes():
    module = import_module("make_animation")
    frames = module.frames()
    again = "run: python docs/make_animation.py"
    with Image.open(module.FILE) as shipped, Image.open(module.STILL) as still:
        assert getattr(shipped, "n_frames", 1) == len(frames), again
        for number in (0, 9, 50, len(frames) - 1):
            shipped.seek(number)
            assert shipped.info["duration"] == frames[number].milliseconds
            assert is_like(shipped, module.draw(frames[number])), again
        assert is_like(still, module.draw(frames[-1])), again
    assert frames[-1].caption.text.endswith("near a village.")
    assert not frames[-1].outline.partial
    assert module.FILE.stat().st_size < 700_000


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

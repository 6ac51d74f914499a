"""docs/how-to/serve-and-record.md: its commands and samples run, its tables are what is measured.

`python -m tests.tools.test_serve_docs` writes the tables.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image

from moondream_tools.cli import main
from tests.tools.programs import Program, running
from tests.tools.witnesses import (
    NODE,
    Seen,
    Witness,
    need_node,
    official_node,
    official_python,
    ours,
)

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "serve-and-record.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MADE = "made by tests/tools/test_serve_docs.py"
TABLE_OF_FAULTS = re.compile(r"^  (400 to 599|\S+) +(\S.*)$", re.MULTILINE)

CALL = "query, streamed"
FAULTS = [
    "close@3",
    "truncate@3",
    "error@3",
    "json-error",
    "401",
    "503",
    "keep-alive",
    "no-space",
    "cr",
    "bom",
    "gzip",
]
SILENT = "and no error"


def fault_table() -> str:
    """Return the faults of `serve --help` as rows of a table."""
    with redirect_stdout(io.StringIO()) as shown:
        main(["serve", "--help"])
    return "".join(
        f"| `{kind}` | {words} |\n"
        for kind, words in TABLE_OF_FAULTS.findall(shown.getvalue().partition("\nfaults:\n")[2])
    )


def outcome(seen: Seen) -> str:
    text = seen.text.removeprefix("\ufeff")
    shown = f"“{text if len(text) < 60 else text[:24] + ' … ' + text[-8:]}”" if text else "nothing"
    error = re.sub(r" \[POST [^]]*\]$", "", seen.error or "")  # its port is another each time
    error = error.split("; ")[0].replace("|", "\\|")
    error = re.sub(
        r"(?<=JSON response from server).*", "", error
    )  # Node's words for it change from version to version
    return f"{shown}, {f'`{error}`' if error else SILENT}"


def client_table(url: str) -> str:
    """Return what each client makes of each fault, measured now."""
    clients: dict[str, Witness] = {
        f"official Python {version('moondream')}": official_python,
        "official Node 0.2.0": official_node,
        "this project": ours,
    }
    calls = [f"{CALL} | {fault}" for fault in FAULTS]
    seen = [witness(url, calls) for witness in clients.values()]
    rows = [["fault", *clients], ["---"] * (len(clients) + 1)]
    rows += [
        [f"`{fault}`", *(outcome(one[call]) for one in seen)]
        for fault, call in zip(FAULTS, calls, strict=True)
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def page_with(begin: str, end: str, new: str) -> str:
    before, _, rest = PAGE.read_text().partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{new}{end}{after}"


def with_fault_table() -> str:
    """Return the page with the table of faults."""
    head = "| fault | what happens |\n| --- | --- |\n"
    text = PAGE.read_text()
    before, _, rest = text.partition(head)
    _, _, after = rest.partition("\n###")
    return f"{before}{head}{fault_table()}\n###{after}"


def with_client_table(url: str) -> str:
    return page_with(
        f"<!-- {MADE}: begin -->\n", f"<!-- {MADE}: end -->", f"\n{client_table(url)}\n"
    )


@pytest.fixture(scope="module")
def serve() -> Iterator[Program]:
    with running("serve", "--speed", "max") as program:
        yield program


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "moon.jpg"
    Image.new("RGB", (32, 32), "gray").save(path)
    return path


def blocks(kind: str, *words: str) -> list[str]:
    found = [
        code
        for seen, code in BLOCK.findall(PAGE.read_text())
        if seen == kind and all(word in code for word in words)
    ]
    assert found
    return found


def text_of(server: Program, skill: str = "query") -> str:
    return ours(server.url, [f"{skill}, streamed"])[f"{skill}, streamed"].text


def test_the_table_of_faults() -> None:
    assert PAGE.read_text() == with_fault_table(), "run: python -m tests.tools.test_serve_docs"


@pytest.mark.slow
def test_the_table_of_clients(serve: Program) -> None:
    need_node()
    assert PAGE.read_text() == with_client_table(serve.url), (
        "run: python -m tests.tools.test_serve_docs"
    )
    rows = client_table(serve.url).splitlines()[2:]
    for fault, row in zip(FAULTS, rows, strict=True):
        *theirs, own = row.strip("| ").split(" | ")[1:]
        is_fault = fault not in ("keep-alive", "no-space", "cr", "bom", "gzip")
        assert (SILENT in own) is not is_fault, row
        assert is_fault or "nothing" not in own, row
        assert any(cell != own for cell in theirs)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")
@pytest.mark.slow
def test_the_curl_commands(serve: Program) -> None:
    first, documented = blocks("sh", "curl")
    (shown,) = blocks("text", "data: ")
    begin, rest = shown.split("...\n")
    assert (curl(first, serve).startswith(begin), rest) == (True, "")
    assert curl(documented, serve).count("data: ") == 14


def curl(command: str, server: Program) -> str:
    command = command.replace("localhost:2020", f"127.0.0.1:{server.port}")
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.slow
def test_the_python_sample(serve: Program, image: Path) -> None:
    (code,) = blocks("python")
    code = code.replace("localhost:2020", f"127.0.0.1:{serve.port}")
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=image.parent
    )
    assert ran.stdout == text_of(serve) + text_of(serve, "caption"), ran.stderr


def node(code: str, image: Path, serve: Program) -> subprocess.CompletedProcess[str]:
    """Run a program of Node, with the official package."""
    code = code.replace("localhost:2020", f"127.0.0.1:{serve.port}").replace("moon.jpg", str(image))
    command = [need_node(), "--input-type=module", "-e", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=NODE)


@pytest.mark.slow
def test_the_node_sample(serve: Program, image: Path) -> None:
    ran = node(blocks("js")[0], image, serve)
    assert ran.stdout == text_of(serve), ran.stderr


def test_the_samples_that_cannot_run(serve: Program, image: Path) -> None:
    """The official packages cannot run these samples on any server."""
    segment = """
        import { vl } from 'moondream';
        import fs from 'fs';
        const model = new vl({ apiKey: 'YOUR_API_KEY', endpoint: 'http://localhost:2020/v1' });
        const image = fs.readFileSync('moon.jpg');
        const stream = await model.segment({ image: image, object: 'moon', stream: true });
        for await (const update of stream) console.log(update);
    """
    ran = node(segment, image, serve)
    assert "stream is not async iterable" in ran.stderr
    assert "stream is not async iterable" in PAGE.read_text()
    answers = official_python(serve.url, ["query"])["query"]
    assert "request_id" not in answers.result
    assert ours(serve.url, ["query"])["query"].result.metadata.request_id


def test_the_commands_of_both_servers(serve: Program, tmp_path: Path) -> None:
    record, again = (
        command.split()[1:]
        for command in (blocks("sh", "record --upstream")[0], "x serve recordings")
    )
    record = [
        {"https://api.moondream.ai/v1": serve.url, "recordings": str(tmp_path / "recordings")}.get(
            word, word
        )
        for word in record
    ]
    shown = "".join(blocks("text", "Ctrl+C stops"))
    assert serve.wait_for_line("recordings of this program") in shown
    with running(*record) as proxy:
        forwarding = proxy.wait_for_line("forwarding").replace(record[-1], "recordings")
        assert forwarding.replace(serve.url, "https://api.moondream.ai/v1") in shown
        assert text_of(proxy) == text_of(serve)
    assert [path.name for path in (tmp_path / "recordings").iterdir()] == ["001-query.jsonl"]
    with running(again[0], tmp_path / again[1], "--speed", "max") as server:
        assert text_of(server) == text_of(serve)
    assert blocks("sh", "moondream-stream serve\n")


def test_the_options_are_those_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    main(["serve", "--help"])
    shown = capsys.readouterr().out
    for option, header in re.findall(
        r"^\| `(--[a-z-]+)[^`]*` \| (?:`([A-Za-z-]+)`)? ?\|", PAGE.read_text(), re.MULTILINE
    ):
        assert f"  {option}" in shown
        assert header in shown


if __name__ == "__main__":
    PAGE.write_text(with_fault_table())
    with running("serve", "--speed", "max") as program:
        PAGE.write_text(with_client_table(program.url))

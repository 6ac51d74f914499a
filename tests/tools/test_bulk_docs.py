"""docs/how-to/bulk.md: its commands run in order, and what it says of options and columns is so."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from moondream_tools._bulk_arguments import CLOUD_RATE, CONCURRENT
from moondream_tools._bulk_summary import to_json
from moondream_tools.cli import Exit
from moondream_transports.bulk import Counts, Prices, Summary, estimate
from moondream_transports.bulk._columns import ANSWERS, EXCHANGE, ITEM, MASKS, Type
from sansio_moondream.limiter import RateLimit
from tests.guides import BLOCK, ROOT
from tests.helpers import PIXEL
from tests.tools.programs import Program

PAGE = (ROOT / "docs" / "how-to" / "bulk.md").read_text()
COMMANDS = [code for kind, code in BLOCK.findall(PAGE) if kind == "sh"]
PRINTED, ESTIMATED = (code for kind, code in BLOCK.findall(PAGE) if kind == "text")
# The commands are for the cloud, and their installation is this one.
_PROGRAM = """#!/bin/sh
exec "{python}" -W error -m moondream_tools.cli "$@" --endpoint {url}
"""


def without_numbers(text: str) -> str:
    return re.sub(r"\d[\d.,]*\b", "N", text)


@pytest.mark.slow
def test_the_commands(server: Program, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in "ab":
        (tmp_path / "photos" / f"{name}.gif").write_bytes(PIXEL.data)
    (tmp_path / "products.csv").write_text("id,picture,name\n7,photos/a.gif,moon\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("pip", "moondream-stream"):
        program = _PROGRAM.format(python=sys.executable, url=server.url) if "-" in name else ""
        (programs / name).write_text(program)
        (programs / name).chmod(0o755)
    ran = subprocess.run(
        ["sh", "-e", "-c", "\n".join(COMMANDS)],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert without_numbers(ran.stderr).startswith(without_numbers(PRINTED))
    ids = parquet.read_table(tmp_path / "answers.parquet")["id"].to_pylist()
    assert sorted(ids) == ["a.gif", "b.gif"]
    (checked,) = (tmp_path / "checked.csv").read_text().splitlines()[1:]
    assert checked.startswith('"7","done",false,"The image shows ')


def test_the_command_is_short() -> None:
    assert PAGE.index("```sh") < 100
    command = COMMANDS[0].splitlines()[-1]
    assert command.startswith("moondream-stream bulk query photos/ --question ")


def type_in_words(kind: Type) -> str:
    if isinstance(kind, str):
        return kind
    if isinstance(kind, list):
        return f"list<{type_in_words(kind[0])}>"
    fields = ", ".join(f"{name}: {type_in_words(field)}" for name, field in kind.items())
    return {
        "x: float64, y: float64": "point",
        "x_min: float64, y_min: float64, x_max: float64, y_max: float64": "box",
    }.get(fields, f"struct<{fields}>")


def test_the_columns() -> None:
    tables = [ITEM, EXCHANGE, MASKS, *ANSWERS.values()]
    table = PAGE[PAGE.index("| column | type | is |") : PAGE.index("A `point` is a struct")]
    lines = re.findall(r"^\| (.*?) \| (.*?) \|", table, re.MULTILINE)
    listed = {
        name: kind.strip("`") for names, kind in lines for name in re.findall(r"`(\w+)`", names)
    }
    assert listed == {column.name: type_in_words(column.type) for t in tables for column in t}


def test_the_exit_statuses() -> None:
    table = PAGE[PAGE.index("| exit status | is |") :]
    listed = [int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)]
    others = {Exit.INCOMPLETE, Exit.BROKEN_PIPE}
    assert listed == [status.value for status in Exit if status not in others]


def test_the_dry_run() -> None:
    limit = RateLimit(CLOUD_RATE, None, CONCURRENT)
    prices = Prices(per_request=0.0005, currency="USD")
    assert f"{estimate(100_000, [limit], prices=prices)}\n" == ESTIMATED


def test_the_summary() -> None:
    (example,) = (json.loads(code) for kind, code in BLOCK.findall(PAGE) if kind == "json")
    counts = Counts(**{name: example[name] for name in Counts.__struct_fields__ if name in example})
    summary = Summary(
        counts,
        example["seconds"],
        example["interrupted"],
        tuple(map(Path, example["files"])),
        Path(example["ledger"]),
    )
    assert to_json(summary) == example
    assert list(to_json(summary)) == list(example)

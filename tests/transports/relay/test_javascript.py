"""moondream-relay.js under Node, and its types against the JSON Schema and TypeScript."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sansio_moondream import json_schema
from tests.guides import BLOCK, ROOT

STATIC = ROOT / "transports" / "moondream_transports" / "relay" / "static"
MODULE = STATIC / "moondream-relay.js"
TYPES = STATIC / "moondream-relay.d.ts"
NODE = ROOT / "tests" / "node"
TESTS = ["relay-streams.test.mjs", "relay-errors.test.mjs"]
SCHEMA = json_schema()["$defs"]
INTERFACE = re.compile(
    r"^export interface (\w+)(?: extends (\w+))? \{\n(.*?)^\}", re.MULTILINE | re.DOTALL
)
FIELD = re.compile(r"^  (\w+): *((?:[^;{}]|\{[^}]*\})+);", re.MULTILINE)
# What the types declare that is no value.
NO_VALUES = {"Answer", "Options", "Retry", "ErrorFields", "Arrived"}
SCALARS = {"string": "string", "boolean": "boolean", "integer": "number", "number": "number"}

need_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node: `make ci-tools`")


def run_tests(names: str) -> str:
    """Run the tests of the module whose names match."""
    command = ["node", "--test", f"--test-name-pattern={names}", *TESTS]
    done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@need_node
def test_the_module_under_node():
    """Two of its tests, as each start of Node takes a while."""
    assert "# fail 0" in run_tests("^(an error record|ask sends)")


@need_node
@pytest.mark.slow
def test_the_module_under_node_with_all_cuts():
    shown = run_tests(".")
    source = "".join((NODE / name).read_text() for name in TESTS)
    names = re.findall(r'^test\("(.*)", async', source, re.MULTILINE)
    assert len(names) > 15
    assert [name for name in names if f" - {name}\n" not in shown] == []
    assert "# skipped 0" in shown


def test_the_module_is_small():
    lines = MODULE.read_text().splitlines()
    assert len(lines) < 150
    assert max(map(len, lines + TYPES.read_text().splitlines())) <= 100


def interfaces() -> Iterator[tuple[str, dict[str, str]]]:
    """Return the fields of each value that is declared, with their types."""
    declared: dict[str, dict[str, str]] = {}
    for name, base, body in INTERFACE.findall(TYPES.read_text()):
        fields = {field: " ".join(type_.split()) for field, type_ in FIELD.findall(body)}
        declared[name] = declared.get(base, {}) | fields
    # `BBoxEvent` stands before the interface that it extends.
    declared["BBoxEvent"] = declared["BBox"] | declared["BBoxEvent"]
    return ((name, fields) for name, fields in declared.items() if name not in NO_VALUES)


def named(reference: str, names: dict[str, str]) -> str:
    """Return the name of the interface for a part of the schema."""
    return names[reference.removeprefix("#/$defs/").removeprefix("nested_")]


def typescript(schema: Any, names: dict[str, str]) -> str:
    """Return the type of a field in TypeScript."""
    if "$ref" in schema:
        return named(schema["$ref"], names)
    if "const" in schema:
        return json.dumps(schema["const"])
    if "anyOf" in schema:
        options = [typescript(option, names) for option in schema["anyOf"]]
        results = [option for option in options if option.endswith("Result")]
        return " | ".join(
            ["Result"] * (len(results) > 1) + [each for each in options if each not in results]
        ) or " | ".join(options)
    if schema["type"] == "array":
        items = schema["items"]
        if "minItems" in items:
            return f"[{', '.join(['string'] * items['minItems'])}][]"
        return f"{typescript(items, names)}[]"
    if schema["type"] == "object":
        return "{ [name: string]: unknown }"
    return "null" if schema["type"] == "null" else SCALARS[schema["type"]]


def test_the_types_are_those_of_the_schema():
    """Each kind that a stream can send, all of its parts, each field, and nothing else."""
    declared = dict(interfaces())
    kinds = {
        kind: name
        for name, fields in declared.items()
        for kind in re.findall(r'"(\w+)"', fields.get("kind", ""))
    }
    names = {name.lower(): name for name in declared}
    names |= {f"tagged_{kind}": name for kind, name in kinds.items()}
    is_error = {kind for kind, schema in SCHEMA.items() if "retryable" in schema["properties"]}
    events = {"text_delta", "reasoning_delta", "bbox", "path_chunk", "completed", "unknown"}
    results = {kind.removeprefix("tagged_") for kind in SCHEMA if kind.startswith("tagged_")}
    assert set(kinds) == is_error | events | results

    checked: set[str] = set()
    waiting = [*is_error, *events]
    while waiting:
        part = waiting.pop()
        name = kinds.get(part.removeprefix("tagged_")) or ""
        name = names[part.removeprefix("nested_")] if part.startswith("nested_") else name
        expected = {
            field: typescript(schema, names) for field, schema in SCHEMA[part]["properties"].items()
        }
        found = dict(declared[name])
        if part in is_error:
            assert f'"{part}"' in found["kind"]
            found["kind"] = expected["kind"]
        assert found == expected, part
        checked.add(name)
        text = json.dumps(SCHEMA[part])
        waiting += set(re.findall(r"#/\$defs/(\w+)", text))
    assert checked == set(declared)


def test_the_schema_and_the_types_name_the_same_unions():
    unions = dict(re.findall(r"^export type (\w+) =\s([^;]*);", TYPES.read_text(), re.MULTILINE))
    found = {name: set(re.findall(r"\w+", union)) for name, union in unions.items()}
    names = {name for name, _ in interfaces()}
    results = {name for name in names if name.endswith("Result")}
    assert found["Result"] == results
    assert found["StreamEvent"] == {
        "TextDelta", "ReasoningDelta", "BBoxEvent", "PathChunk", "Completed", "Unknown",
    }  # fmt: skip
    assert found["StreamValue"] == {"StreamEvent", "ErrorValue", "APIErrorValue"}


# What the programs of the page take as given.
GIVEN = """
declare const request: unknown;
declare const form: { picture: { files: FileList } };
declare const answer: import("./moondream-relay.js").Answer;
declare function say(text: string): void;
declare function show(value: import("./moondream-relay.js").StreamValue): void;
"""


@need_node
@pytest.mark.slow
def test_typescript_accepts_the_module_and_a_page(tmp_path: Path):
    """The module has the types that are declared, and a page that uses it is checked by them."""
    tsc = NODE / "node_modules" / "typescript" / "bin" / "tsc"
    if not tsc.exists():
        pytest.skip("needs TypeScript: `make ci-tools`")
    shutil.copy(TYPES, tmp_path)
    shutil.copy(MODULE, tmp_path / "implementation.js")
    shutil.copy(NODE / "relay-types.ts", tmp_path)
    (tmp_path / "given.d.ts").write_text(GIVEN)
    page = (ROOT / "docs" / "how-to" / "browser.md").read_text()
    programs = [code for kind, code in BLOCK.findall(page) if kind == "js"]
    assert len(programs) == 5
    for i, code in enumerate(programs):
        if "import " not in code:
            code = f'import {{ ask }} from "/moondream-relay.js";\nvoid ask;\n{code}'
        code = code.replace('"/moondream-relay.js"', '"./moondream-relay.js"')
        (tmp_path / f"program{i}.ts").write_text(code)
    options = {
        "strict": True, "allowJs": True, "checkJs": True, "noEmit": True, "target": "es2022",
        "module": "esnext", "moduleResolution": "bundler", "types": [],
        "lib": ["es2022", "dom", "dom.iterable", "dom.asynciterable"],
    }  # fmt: skip
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options}))
    done = subprocess.run(
        ["node", tsc, "--project", tmp_path], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout

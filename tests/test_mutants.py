"""The mutation run itself, on a module of a few lines."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.mutants.mutant import sample
from tests.mutants.mutations import mutants_of

ROOT = Path(__file__).resolve().parent.parent
MODULE = """\
def fits(size: int, limit: int = 8) -> bool:
    return 0 <= size <= limit

def settle(done: bool) -> None:
    while not done:
        pass
"""
TESTS = """\
from tiny import fits, settle

def test_fits():
    assert fits(8)

def test_does_not_fit():
    assert not fits(8, limit=7)
    assert not fits(9)

def test_settles():
    settle(True)  # a mutant of this never ends
"""
FAILED = r"these fail without a mutant: test_tiny\.py \((\.mutants/\w+\.log)\)\n"
SURVIVORS = [
    ("return 0 <= size <= limit", "return -1 <= size <= limit"),
    ("return 0 <= size <= limit", "return 0 < size <= limit"),
    ("return 0 <= size <= limit", "return 1 <= size <= limit"),
]


def changes(source: str) -> list[tuple[str, str]]:
    return [mutant.change for mutant in mutants_of("one.py", dedent(source))]


def after(source: str) -> list[str]:
    return [new for _, new in changes(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b <= c", ["pass", "a <= b <= c", "a >= b <= c", "a < b < c", "a < b > c"]),
        ("x = a  not  in b", ["x = a in b"]),
        ("x = a and (b or c)", ["x = a or (b or c)", "x = a and (b and c)"]),
        ("x = (a) + (b)", ["x = (a) - (b)"]),
        ("x = a + 'b'", ["x = a + 'xb'"]),
        ("x = not a", ["x = (a)"]),
        ("x = 'é' < a # <", ["x = 'é' <= a # <", "x = 'é' >= a # <", "x = 'xé' < a # <"]),
        ("x = [0, 1.5, True, rb'a', None]",
         [f"x = [{inside}]" for inside in (
             "1, 1.5, True, rb'a', None", "-1, 1.5, True, rb'a', None",
             "0, 2.5, True, rb'a', None", "0, 0.5, True, rb'a', None",
             "0, 1.5, False, rb'a', None", "0, 1.5, True, rb'xa', None")]),
        ("if f(a):\n    a += b", ["if not f(a):", "pass", "a -= b"]),
        ("x = [a for a in b if a]", ["x = [a for a in b if not a]"]),
        ("def f():\n    return a", ["return None"]),
        ("def f() -> bool:\n    return a", ["return not a"]),
        ("def f():\n    return None", []),
        ("for a in b:\n    break", ["pass"]),
        ("raise E('a' + str(b)) from c", ["pass"]),
        ("x = x.y", ["pass"]),
        ("x = y", []),
        ("x.y = z", ["pass"]),
        ("f(\n    a,\n)", ["pass"]),
    ],
)  # fmt: skip
def test_what_is_changed(source: str, expected: list[str]):
    assert after(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""About."""',
        "def f(a: 'int | None' = b) -> Literal['a']: ...",
        "x: Literal['a', 1] = y",
        "Both = Left | Right | None",
        "__all__ = ['a']",
        "if TYPE_CHECKING:\n    a()",
        "x = f'{a + 1}'",
        "x = T('it says no')",
        "@overload\ndef f(a=1): ...",
    ],
)
def test_what_is_not_behaviour(source: str):
    assert changes(source) == []


def test_a_change_is_named_by_all_its_lines():
    source = "f(\n    a,  # why\n)\n"
    assert changes(source) == [("f( a, # why )", "pass")]
    [mutant] = mutants_of("one.py", "\n" + source)
    assert (mutant.number, mutant.change) == (2, changes(source)[0])
    assert "-f(\n-    a,  # why\n-)\n+pass\n" in mutant.diff


def test_a_sample_depends_on_seed_and_text_only():
    source = "\n".join(f"x = a < b{number}" for number in range(50))
    chosen = [one.change for one in sample(mutants_of("one.py", source), 1, 20)]
    moved = [one.change for one in sample(mutants_of("two.py", f"import c\n{source}"), 1, 20)]
    assert chosen == moved
    assert len({*chosen}) == 20
    assert chosen != [one.change for one in sample(mutants_of("one.py", source), 2, 20)]


def test_mutants_of_the_core_compile():
    paths = sorted((ROOT / "sansio_moondream").rglob("*.py"))
    mutants = [one for path in paths for one in mutants_of(path.name, path.read_text("utf-8"))]
    for mutant in sample(mutants, 1, 20):
        mutant.compiled()


@pytest.mark.slow  # each starts a run of its own, in which a hang has to be noticed
class TestRun:
    """The whole program, in a process and a folder of its own."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "tiny.py").write_text(MODULE, "utf-8")
        (tmp_path / "test_tiny.py").write_text(TESTS, "utf-8")
        shutil.copy(ROOT / "pyproject.toml", tmp_path)  # the run has to fit our options of pytest
        return tmp_path

    def run(self, folder: Path, listed: list[tuple[str, str]]) -> subprocess.CompletedProcess[str]:
        about = {"module": "tiny", "reason": "it is a test"}
        equivalents = [about | {"line": line, "becomes": new} for line, new in listed]
        program = f"""\
            import sys
            from tests.mutants.__main__ import Settings, Suite, run
            suite = Suite(sources=("tiny.py",), tests=("test_*.py",))
            sys.exit(run([suite], {equivalents!r}, Settings(slack=5.0)))
        """
        command = [sys.executable, "-B", "-c", dedent(program)]
        environment = {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    def test_survivors_are_told_from_killed_ones(self, folder: Path):
        ran = self.run(folder, [])
        assert ran.returncode == 1, ran.stderr
        survivors = [
            (lines[0][1:].strip(), lines[1][1:].strip())
            for diff in ran.stdout.split(" @@\n")[1:]
            if (lines := [line for line in diff.splitlines() if line[:1] in ("-", "+")])
        ]
        assert sorted(survivors) == SURVIVORS
        assert "tiny.py:2 survives" in ran.stdout
        assert "\n6 killed, 3 survived, 0 listed as equivalent\n66.7% of" in ran.stdout
        assert (folder / "tiny.py").read_text("utf-8") == MODULE

    def test_the_list_must_not_be_wrong_nor_long(self, folder: Path):
        killed = ("return 0 <= size <= limit", "return 0 <= size < limit")
        ran = self.run(folder, [*SURVIVORS, killed, ("gone", "pass")])
        assert ran.returncode == 1, ran.stderr
        assert "survives" not in ran.stdout
        assert "\n6 killed, 0 survived, 3 listed as equivalent\n100.0% of" in ran.stdout
        assert ran.stdout.splitlines()[-3:] == [
            "listed, but killed by a test: tiny.py:2",
            "listed, but there is no such mutant: tiny | gone | pass",
            "more than 6% are listed as equivalent",
        ]

    def test_tests_that_fail_without_a_mutant_end_it(self, folder: Path):
        with (folder / "test_tiny.py").open("a", encoding="utf-8") as file:
            file.write("\ndef test_wrong():\n    assert fits(10)\n")
        ran = self.run(folder, [])
        assert ran.returncode == 1
        assert (found := re.fullmatch(FAILED, ran.stderr)) is not None
        assert "assert fits(10)" in (folder / found[1]).read_text("utf-8")

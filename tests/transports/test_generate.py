"""The sync twins are what their sources give, and the check notices where they are not.

`make lint` checks the committed twins.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TRANSPORTS = Path(__file__).parents[2] / "transports"

SOURCE = '''"""An async client, for tasks of one event loop."""

from sample._concurrency import AsyncFlag, async_sleep


class AsyncSample:
    """An `AsyncSample`; use `async with`."""

    async def __aenter__(self) -> "AsyncSample":
        await async_sleep(0)  # another task may run
        return self

    async def read(self) -> list[int]:
        async with self._stream as stream:
            return [number async for number in stream if await anext(stream)]

    async def aclose(self) -> None:
        raise StopAsyncIteration(f"{await self.name()}")
'''
TWIN = '''# Generated from ../_async/sample.py by `make generate`; do not edit.
"""A client, for threads."""

from sample._concurrency import sleep


class Sample:
    """A `Sample`; use `with`."""

    def __enter__(self) -> "Sample":
        sleep(0)  # another thread may run
        return self

    def read(self) -> list[int]:
        with self._stream as stream:
            return [number for number in stream if next(stream)]

    def close(self) -> None:
        raise StopIteration(f"{self.name()}")
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package with one async source, beside a copy of the generator."""
    (tmp_path / "transports").mkdir()
    shutil.copy(TRANSPORTS / "generate.py", tmp_path / "transports")
    package = tmp_path / "transports" / "moondream_transports"
    (package / "_async").mkdir(parents=True)
    (package / "_async" / "sample.py").write_text(SOURCE)
    return package


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder.parent / "generate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_keywords_names_and_texts_are_translated(folder: Path) -> None:
    done = run(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "_sync" / "sample.py").read_text() == TWIN
    assert run(folder, "--check").returncode == 0


@pytest.mark.parametrize("change", ["edited", "missing", "stale"])
def test_check_fails_for_a_twin_that_differs(folder: Path, change: str) -> None:
    run(folder)
    twin = folder / "_sync" / "sample.py"
    if change == "edited":
        twin.write_text(TWIN.replace("sleep(0)", "sleep(1)"))
    elif change == "missing":
        twin.unlink()
    else:
        twin = twin.rename(twin.with_name("other.py"))
    done = run(folder, "--check")
    assert done.returncode == 1
    assert "make generate" in done.stderr and str(twin) in done.stderr


def test_generate_removes_a_twin_without_a_source(folder: Path) -> None:
    run(folder)
    (folder / "_async" / "sample.py").unlink()
    assert run(folder).returncode == 0
    assert not (folder / "_sync" / "sample.py").exists()

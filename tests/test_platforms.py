"""What depends on the platform is guarded: all of it works where Windows lacks what Unix has.

This is no Windows. A program takes away modules and attributes, then imports every module of ours
and uses sockets, files, locks and signals. CONTRIBUTING.md says what is not tested on which system.
"""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("platform_program.py")


def test_all_works_without_what_only_unix_has(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", PROGRAM, tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    imported, recorded, *answer, report = done.stdout.splitlines()
    count, _, words = imported.partition(" ")
    assert words == "modules are imported"
    assert int(count) > 300
    assert recorded == "4 files are recorded"
    assert "A moon." in answer
    assert "failed" not in report
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("interruptible")
def test_a_server_whose_event_loop_has_no_signal_handlers() -> None:
    """Those of Windows have none."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", PROGRAM, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        first, second = server.stdout.readline(), server.stdout.readline()
        assert first.endswith("modules are imported\n")
        assert second.startswith("http://127.0.0.1:")
        server.send_signal(signal.SIGINT)
        _, log = server.communicate(timeout=60)
    assert server.returncode == 0, log
    assert "Warning" not in log
    assert "Traceback" not in log


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_an_output_that_lacks_characters(encoding: str) -> None:
    from moondream_tools.cli import main

    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        assert main(["demo", "--speed", "max"]) == 0
    out.seek(0)
    assert out.read()

"""Broken recordings in files: recordings, and tests for pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from moondream_tools._inspect._answers import Refused
from moondream_tools._inspect._break import break_recording, broken, saved
from moondream_tools._inspect._store import Entry
from sansio_moondream.recording import Ending, Recording
from tests.helpers import END, record
from tests.tools.inspect.broken_answers import (
    SKILLS,
    answer,
    entry,
    fault,
    parsed,
    recorded,
    size_of,
)


class TestSaved:
    def test_a_recording(self) -> None:
        asked = {**fault("close", 100), "as": "recording"}
        file = saved(Entry("folder/some query.jsonl", recorded("query")), asked)
        assert file["name"] == "folder_some_query-close_at_100.jsonl"
        read = Recording.decode(file["text"].encode())
        assert read == break_recording(recorded("query"), parsed(fault("close", 100)))

    def test_it_is_masked_as_recordings_are(self) -> None:
        recording = answer(record({"chunk": "A", "org_id": "acme-inc"}), END)
        header = replace(
            recording.header,
            request_headers=(("x-moondream-auth", "s3cret-key"), ("accept", "*/*")),
            request_body={"question": "?", "api_key": "s3cret-key", "stream": True},
            response_headers=(("set-cookie", "s3cret-key"), ("content-type", "text/event-stream")),
        )
        ending = Ending(0, "ConnectionLost", 'lost {"org_id": "acme-inc"}')
        by_hand = replace(recording, header=header, ending=ending)
        for kind in ("recording", "test"):
            text = saved(entry(by_hand), {"fragmentation": 7, "as": kind})["text"]
            assert "s3cret" not in text and "acme" not in text

    @pytest.mark.parametrize("coding", ["none", "utf-8", "identity, identity", "gzip", "br"])
    def test_a_body_that_its_head_calls_compressed_and_is_not_is_masked(self, coding: str) -> None:
        recording = answer(record({"chunk": "A", "org_id": "acme-inc"}), END)
        headers = (("content-type", "text/event-stream"), ("content-encoding", coding))
        header = replace(recording.header, response_headers=headers)
        for kind in ("recording", "test"):
            text = saved(entry(replace(recording, header=header)), {"as": kind})["text"]
            assert "acme" not in text

    @pytest.mark.parametrize(
        ("skill", "asked"),
        [("query", fault("close", 100)), ("segment", {**fault("silence", 900), "fragmentation": 5}),
         ("chat", fault("damage", 100))],
    )  # fmt: skip
    def test_a_test_has_what_it_expects(self, skill: str, asked: dict[str, Any]) -> None:
        file = saved(Entry(f"{skill}.jsonl", recorded(skill)), {**asked, "as": "test"})
        names: dict[str, Any] = {}
        exec(compile(file["text"], file["name"], "exec"), names)
        test = next(value for name, value in names.items() if name.startswith("test_"))
        test()
        names["EVENTS"].append({"kind": "text_delta", "text": "more"})
        with pytest.raises(AssertionError):
            test()

    def test_a_recording_of_no_skill_makes_no_test(self) -> None:
        recording = recorded("query")
        other = replace(recording, header=replace(recording.header, path="/v1/models"))
        with pytest.raises(Refused, match="save it as a recording"):
            saved(entry(other), {"as": "test"})
        assert broken(entry(other), {})["plain"] == []

    def test_a_recording_that_is_no_post_makes_no_test(self) -> None:
        recording = recorded("query")
        other = replace(recording, header=replace(recording.header, method="GET"))
        with pytest.raises(Refused, match="save it as a recording"):
            saved(entry(other), {"as": "test"})

    @pytest.mark.slow  # a pytest of its own
    def test_all_of_them_pass_in_a_project_with_the_plugin(self, tmp_path: Path) -> None:
        count = 0
        for skill in SKILLS:
            size = size_of(recorded(skill))
            for asked in (
                {},
                {"fragmentation": 1 if size < 3000 else 1000},
                *(fault(kind, size // 2) for kind in ("close", "reset", "silence", "damage")),
            ):
                file = saved(Entry(f'it"s/{skill}.jsonl', recorded(skill)), {**asked, "as": "test"})
                (tmp_path / file["name"]).write_text(file["text"])
                count += 1
        (tmp_path / "conftest.py").write_text(
            'pytest_plugins = ["moondream_transports.pytest_plugin"]\n'
        )
        command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout
        assert f"{count} passed" in done.stdout

"""Wrong usage of `moondream-stream bulk`, in words, and its help."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from moondream_tools._bulk_arguments import CONCURRENT, FORMATS
from moondream_tools.cli import Exit
from moondream_transports.bulk import OutputFormat


class TestUsage:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["bulk"], "SKILL"),
            (["bulk", "chat"], "invalid choice"),
            (["bulk", "query"], "INPUT"),
            (["bulk", "query", "PHOTOS"], "question"),
            (["bulk", "detect", "PHOTOS", "--object", "moon {name}"], "'name'"),
            (["bulk", "caption", "PHOTOS"], "--output"),
            (["bulk", "caption", "no-such-folder"], "no-such-folder"),
            (["bulk", "caption", __file__], "test_bulk_usage.py"),
            (["bulk", "caption", "PHOTOS", "--output", "OUT.md"], "OUT.md"),
            (["bulk", "caption", "PHOTOS", "--output", "/dev/null/out.csv"], "/dev/null"),
            (["bulk", "export", "OUT.ledger"], "--output"),
            (["bulk", "export", "OUT.ledger", "--output", "OUT.csv"], "no ledger"),
            (
                ["bulk", "caption", "PHOTOS", "--dry-run", "--price-per-million-output", "1"],
                "--price-per-million-output needs --output-tokens",
            ),
            (["bulk", "caption", "PHOTOS", "--format", "xml"], "invalid choice"),
            (["bulk", "caption", "PHOTOS", "--rate", "0"], "rate should be a number above 0, or"),
            (["bulk", "caption", "PHOTOS", "--rate", "many"], "not 'many'"),
            (["bulk", "caption", "PHOTOS", "--concurrent", "0"], "above 0"),
            (
                ["bulk", "caption", "PHOTOS", "--output", "OUT.csv", "--burst", "3"],
                "--burst needs a --rate",
            ),
            (["bulk", "caption", "PHOTOS", "--retries", "-1"], "0 or above"),
            (["bulk", "caption", "PHOTOS", "--via", "dask"], "should be ray, or ray=ADDRESS"),
            (["bulk", "caption", "PHOTOS", "--via", "ray="], "should be ray, or ray=ADDRESS"),
            (["bulk", "caption", "PHOTOS", "--actors", "4-2"], "a range such as 2-8, not '4-2'"),
            (["bulk", "caption", "PHOTOS", "--actors", "2"], "--actors is for a cluster"),
            (["bulk", "caption", "PHOTOS", "--via", "ray", "--limit", "3"], "a smaller input"),
            (["bulk", "caption", "PHOTOS", "--via", "ray", "--retry-failed"], "rows that are"),
            (["bulk", "caption", "PHOTOS", "--via", "ray", "--output", "OUT.csv"], "to a folder"),
            (["bulk", "caption", "PHOTOS", "--via", "ray", "--format", "csv"], "Parquet files"),
            (
                [
                    *("bulk", "caption", "PHOTOS", "--via", "ray"),
                    *("--endpoint", "http://127.0.0.1:1/v1", "--endpoint", "http://127.0.0.1:2/v1"),
                ],
                "put a load balancer before",
            ),
            (
                ["bulk", "caption", "PHOTOS", "--output", "OUT.csv", "--idle-timeout", "0"],
                "--idle-timeout: it should",
            ),
            (["bulk", "caption", "PHOTOS", "--temperature", "-1"], "--temperature: it should be"),
            (
                ["bulk", "caption", "PHOTOS", "--output", "OUT.csv", "--summary", "PHOTOS"],
                "is a folder",
            ),
            (
                ["bulk", "caption", "PHOTOS", "--output", "OUT.csv", "--summary", "none/here"],
                "does not exist: none",
            ),
        ],
    )
    def test_wrong(
        self, run: Any, photos: Path, tmp_path: Path, options: list[str], words: str
    ) -> None:
        given = [
            option.replace("PHOTOS", str(photos)).replace("OUT.", f"{tmp_path}/OUT.")
            for option in options
        ]
        asks = len(given) > 2 and given[1] != "export"
        endpoint = ["--endpoint", "http://localhost:1/v1"] if asks else []
        ran = run(*given, *endpoint)
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert words in ran.err
        assert not list(tmp_path.glob("OUT*"))

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["query", "t.csv"], "no column with pictures"),
            (["query", "t.csv"], "Give --picture-column, or --no-pictures for questions"),
            (["query", "photos"], "needs question: give it with --question, or in a column"),
            (["caption", "t.csv", "--delimiter", "ab"], "--delimiter should be one character"),
        ],
    )
    def test_messages_name_options(
        self,
        run: Any,
        photos: Path,
        tmp_path: Path,
        options: list[str],
        words: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("t.csv").write_text("id,name\n1,picture_column\n")
        ran = run("bulk", *options, "--output", "o.csv", "--endpoint", "http://localhost:1/v1")
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert words in ran.err

    def test_a_dry_run_on_a_cluster(self, run: Any, photos: Path, tmp_path: Path) -> None:
        asked = ("bulk", "caption", photos, "--endpoint", "http://localhost:1/v1", "--dry-run")
        cluster = ("--via", "ray=10.0.0.1:6379", "--actors", "2-8", "--output", tmp_path / "out")
        ran = run(*asked, *cluster, "--rate", "50", "--seconds", "0.2", "--concurrent", "4")
        assert ran.status == Exit.OK
        assert "At 50 requests a second, 32 at once, if each takes 0.2 s" in ran.out

    def test_a_cluster_needs_ray(
        self, run: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "ray.data", None)
        endpoint, output = ("--endpoint", "http://localhost:1/v1"), tmp_path / "out"
        ran = run("bulk", "caption", photos, *endpoint, "--via", "ray", "--output", output)
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert "pip install 'sansio-moondream[ray]'" in ran.err
        assert not output.exists()

    def test_no_server(self, run: Any, photos: Path) -> None:
        ran = run("bulk", "caption", photos, "--output", "out.csv")
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert "MOONDREAM_API_KEY" in ran.err

    def test_help_says_the_defaults(self, run: Any) -> None:
        ran = run("bulk", "segment", "--help")
        assert ran.status == Exit.OK
        words = " ".join(ran.out.split())
        assert f"in flight at once (default: {CONCURRENT})" in words
        assert "(default: 2 in the cloud, none at --endpoint)" in words
        assert "--masks" in words
        assert "6 some items failed" in words
        assert "--masks" not in run("bulk", "query", "--help").out

    def test_formats(self) -> None:
        assert list(FORMATS) == [kind.value for kind in OutputFormat]

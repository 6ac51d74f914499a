"""What an output is: a file or a folder, its format, its ledger, and what is refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from moondream_transports.bulk import OutputFormat
from moondream_transports.bulk._outputs import LEDGER, Output, open_output

each_format = pytest.mark.parametrize("format", list(OutputFormat))


class TestOneFile:
    @each_format
    def test_by_its_ending(self, tmp_path: Path, format: OutputFormat) -> None:
        path = tmp_path / f"moons.2026.{format}"
        output = open_output(path)
        assert output == Output(path, format, single=True)
        assert output == open_output(str(path), format)
        assert output.file(0) == path
        assert output.ledger == tmp_path / f"moons.2026.{format}.ledger"
        assert list(tmp_path.iterdir()) == []

    def test_an_ending_in_capitals(self, tmp_path: Path) -> None:
        assert open_output(tmp_path / "MOONS.CSV").format is OutputFormat.CSV

    @pytest.mark.parametrize("name", ["moons.json", "moons.txt", "moons.parquet.gz", "moons.d"])
    def test_another_ending_is_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ValueError, match=r"ends in \.\w+: take a file that ends in \.parquet"):
            open_output(tmp_path / name)

    def test_another_format_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"ends in \.csv, and parquet was asked for"):
            open_output(tmp_path / "moons.csv", OutputFormat.PARQUET)

    def test_a_file_that_no_run_has_written_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "moons.csv"
        path.write_text("precious")
        with pytest.raises(ValueError, match=r"exists, and no ledger moons\.csv\.ledger"):
            open_output(path)
        (tmp_path / "moons.csv.ledger").touch()
        assert open_output(path).format is OutputFormat.CSV

    def test_a_file_without_an_ending_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "moons").touch()
        with pytest.raises(ValueError, match="moons is no folder: take a file that ends in"):
            open_output(tmp_path / "moons")


class TestFolders:
    def test_shards_have_numbers(self, tmp_path: Path) -> None:
        output = open_output(tmp_path / "moons")
        assert output == Output(tmp_path / "moons", OutputFormat.PARQUET, single=False)
        assert output.file(0) == tmp_path / "moons" / "part-00000.parquet"
        assert output.file(123_456).name == "part-123456.parquet"
        assert output.ledger == tmp_path / "moons" / LEDGER
        assert list(tmp_path.iterdir()) == []

    @each_format
    def test_any_format(self, tmp_path: Path, format: OutputFormat) -> None:
        output = open_output(tmp_path / "moons", format)
        assert output.file(7).name == f"part-00007.{format}"

    @pytest.mark.parametrize("slash", {"/", os.sep})
    def test_a_slash_makes_a_folder_of_any_name(self, tmp_path: Path, slash: str) -> None:
        output = open_output(f"{tmp_path / 'moons.csv'}{slash}")
        assert output == Output(tmp_path / "moons.csv", OutputFormat.PARQUET, single=False)

    def test_a_folder_that_exists_may_have_any_name(self, tmp_path: Path) -> None:
        (tmp_path / "moons.2026").mkdir()
        assert not open_output(tmp_path / "moons.2026").single

    def test_a_folder_of_other_files_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / ".hidden").touch()
        assert not open_output(tmp_path).single
        (tmp_path / "moon.jpg").touch()
        with pytest.raises(ValueError, match=rf"has files, such as moon\.jpg, and no {LEDGER}"):
            open_output(tmp_path)
        (tmp_path / LEDGER).touch()
        assert not open_output(tmp_path).single

    def test_shards_without_their_ledger_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "part-00000.parquet").touch()
        with pytest.raises(ValueError, match=r"part-00000\.parquet, and no"):
            open_output(tmp_path)

    def test_a_run_goes_on_in_the_format_of_its_shards(self, tmp_path: Path) -> None:
        (tmp_path / LEDGER).touch()
        (tmp_path / "notes.parquet").touch()
        (tmp_path / "part-00000.csv").touch()
        for given in (None, OutputFormat.CSV):
            assert open_output(tmp_path, given).format is OutputFormat.CSV
        with pytest.raises(ValueError, match=r"has part-00000\.csv of .*, and jsonl was asked for"):
            open_output(tmp_path, OutputFormat.JSON_LINES)


class TestUnfinishedFiles:
    def test_of_a_folder(self, tmp_path: Path) -> None:
        output = Output(tmp_path, OutputFormat.CSV, single=False)
        kept = {"part-00000.csv", ".part-x.csv.part", ".notes.part", LEDGER, "x.part"}
        for name in (*kept, ".part-00000.csv.part", ".part-123456.parquet.part"):
            (tmp_path / name).touch()
        output.remove_unfinished()
        assert {file.name for file in tmp_path.iterdir()} == kept

    def test_of_one_file(self, tmp_path: Path) -> None:
        output = Output(tmp_path / "moons.csv", OutputFormat.CSV, single=True)
        for name in (".moons.csv.part", ".others.csv.part"):
            (tmp_path / name).touch()
        output.remove_unfinished()
        output.remove_unfinished()
        assert [file.name for file in tmp_path.iterdir()] == [".others.csv.part"]


def test_parquet_needs_pyarrow_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for path in (tmp_path / "moons", tmp_path / "moons.parquet"):
        with pytest.raises(ModuleNotFoundError, match="Parquet files need pyarrow"):
            open_output(path)
    assert open_output(tmp_path / "moons", OutputFormat.CSV).format is OutputFormat.CSV

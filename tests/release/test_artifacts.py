"""What is said of a wheel and an sdist: equal or not, complete or not, how it is called."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from release import contents, metadata, sbom
from release.builds import members, require_equal
from release.commands import CheckFailed, run

COMPONENT = {"name": "h11", "version": "0.16", "purl": "pkg:pypi/h11@0.16", "licenses": [{}]}


def wheel(path: Path, **files: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return path


def sdist(path: Path, mode: int = 0o644, **files: bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"top/{name}")
            info.size, info.mode = len(data), mode
            archive.addfile(info, io.BytesIO(data))
    return path


class TestBuilds:
    def test_equal(self, tmp_path: Path) -> None:
        one, other = (wheel(tmp_path / f"{n}/a.whl", x=b"1", y=b"2") for n in (1, 2))
        require_equal(one, other)

    def test_different_files_are_named(self, tmp_path: Path) -> None:
        one = wheel(tmp_path / "1/a.whl", x=b"1", y=b"2", same=b"3")
        other = wheel(tmp_path / "2/a.whl", x=b"1!", z=b"2", same=b"3")
        with pytest.raises(CheckFailed, match=r"a\.whl should be equal .* differ in: x, y, z$"):
            require_equal(one, other)

    def test_different_modes(self, tmp_path: Path) -> None:
        one = sdist(tmp_path / "a.tar.gz", x=b"1")
        other = sdist(tmp_path / "b.tar.gz", mode=0o600, x=b"1")
        assert members(one) == members(other) == {"x": b"1"}
        with pytest.raises(CheckFailed, match="no file, but the order, times or modes"):
            require_equal(one, other)


class TestContents:
    SOURCES = (
        *("sansio_moondream/py.typed", "transports/moondream_transports/a.py", "transports/gen.py"),
        *("tools/moondream_tools/_b.py", "README.md", ".ci/run"),
    )

    def test_a_wheel_has_the_packages_and_its_own_files(self) -> None:
        expected = contents.wheel_members(self.SOURCES, "1.0")
        packages = {
            "sansio_moondream/py.typed",
            "moondream_transports/a.py",
            "moondream_tools/_b.py",
        }
        info = {f"sansio_moondream-1.0.dist-info/{name}" for name in contents.DIST_INFO}
        assert expected == packages | info

    def test_an_sdist_has_all_but_what_only_a_checkout_needs(self) -> None:
        assert contents.sdist_members(self.SOURCES) == {*self.SOURCES[:-1], "PKG-INFO"}

    def test_missing_and_unexpected_files(self) -> None:
        contents.require_members("wheel", {"a": b""}, {"a"})
        with pytest.raises(CheckFailed, match=r"wheel lacks \['a'\], and has \['\.env'\]"):
            contents.require_members("wheel", {".env": b""}, {"a"})

    @pytest.mark.parametrize(
        "name",
        ["sansio_moondream/a.pyc", "moondream_tools/recordings/x.pem", "moondream_tools/x.js"],
    )
    def test_a_kind_of_file_that_is_new(self, name: str) -> None:
        contents.require_kinds(["sansio_moondream/a.py", "sansio_moondream-1.dist-info/RECORD"])
        with pytest.raises(CheckFailed, match="needs a line in release/contents.py"):
            contents.require_kinds([name])

    def test_too_large(self) -> None:
        most = contents.MOST_BYTES["wheel"]
        assert contents.require_size("wheel", {"a": b"x" * most}) == most
        with pytest.raises(CheckFailed, match=r"largest files are a \(3,000,000\), b \(1\)"):
            contents.require_size("wheel", {"b": b"x", "a": b"x" * most})

    def test_its_folders(self) -> None:
        assert contents.by_folder(["b/1", "b/2", "a"]) == ["    1  a", "    2  b"]


class TestMetadata:
    def wheel(self, folder: Path, fields: str = "") -> Path:
        text = f"Metadata-Version: 2.4\nVersion: 1.2\n{fields}\nhi"
        return wheel(folder / "a.whl", **{"a-1.2.dist-info/METADATA": text.encode()})

    def version(self, folder: Path, tag: str | None) -> str:
        return metadata.require_version(self.wheel(folder), tag)

    def test_a_gap_that_is_filled_is_none(self, tmp_path: Path) -> None:
        metadata.require_gaps(self.wheel(tmp_path, "Author: The authors\n"))
        for name, (field, _) in metadata.KNOWN_GAPS.items():
            with pytest.raises(CheckFailed, match=f"has {field} now, so {name} should go"):
                metadata.require_gaps(self.wheel(tmp_path, f"{field}: something\n"))

    def test_without_a_tag_any_version_is_right(self, tmp_path: Path) -> None:
        assert self.version(tmp_path, None) == "1.2"

    def test_a_tag_of_another_version(self, tmp_path: Path) -> None:
        with pytest.raises(CheckFailed, match=r"should be v1\.2, but it is v1\.3"):
            self.version(tmp_path, "v1.3")

    def test_a_version_that_the_changelog_lacks(self, tmp_path: Path) -> None:
        with pytest.raises(CheckFailed, match=r"should have a heading for 1\.2"):
            self.version(tmp_path, "v1.2")

    @pytest.mark.parametrize("heading", ["## [1.2] - 2026-01-31", "## 1.2 (2026-01-31)"])
    def test_a_heading_of_the_changelog(self, heading: str) -> None:
        metadata.require_in_changelog(f"# Changelog\n\n{heading}\n", "1.2")
        for other in ("1.20", "1", "2"):
            with pytest.raises(CheckFailed, match="heading"):
                metadata.require_in_changelog(f"# Changelog\n\n{heading}\n", other)


class TestSBOM:
    def bom(self, *components: dict[str, Any]) -> dict[str, Any]:
        return {"components": list(components), "metadata": {"component": {"name": "x"}}}

    def test_it_has_the_version_and_the_hash_of_the_wheel(self, tmp_path: Path) -> None:
        made = sbom.complete(self.bom(COMPONENT), wheel(tmp_path / "w/a.whl", x=b"1"), "1.2")
        component = json.loads(json.dumps(made))["metadata"]["component"]
        assert component["version"] == "1.2"
        assert component["purl"] == "pkg:pypi/sansio-moondream@1.2"
        assert len(component["hashes"][0]["content"]) == 64

    @pytest.mark.parametrize("lacking", ["version", "purl", "licenses"])
    def test_a_component_that_says_too_little(self, lacking: str, tmp_path: Path) -> None:
        poor = {key: value for key, value in COMPONENT.items() if key != lacking}
        with pytest.raises(CheckFailed, match="these lack one: h11"):
            sbom.complete(self.bom(COMPONENT, poor), wheel(tmp_path / "w/a.whl"), "1.2")

    def test_no_component(self, tmp_path: Path) -> None:
        with pytest.raises(CheckFailed, match="there is no component"):
            sbom.complete(self.bom(), wheel(tmp_path / "w/a.whl"), "1.2")

    def test_its_licences_for_people(self) -> None:
        licences = [
            {"license": {"id": "MIT"}},
            {"license": {"name": "Own"}},
            {"expression": "A OR B"},
        ]
        shown = sbom.components(self.bom(COMPONENT | {"licenses": licences}))
        assert shown == ["h11 0.16 (MIT, Own, A OR B)"]


def test_a_program_that_fails_is_quoted() -> None:
    assert run("git", "--version").startswith("git version")
    with pytest.raises(CheckFailed, match=r"(?s)git nonsense\n.*gave 1:\n.*not a git command"):
        run("git", "nonsense")

"""The lowest versions, from pyproject.toml."""

from __future__ import annotations

from typing import Any

import pytest

from release.bounds import constraints, extras, lowest_versions, project, require_current
from release.commands import CheckFailed
from release.extras import PARTS, PLAIN, require_complete


def of(*dependencies: str, **extras: list[str]) -> dict[str, Any]:
    return {"dependencies": list(dependencies), "optional-dependencies": extras}


def test_lower_bounds_of_all_that_we_name() -> None:
    found = lowest_versions(
        of(
            "Msgspec>=0.22",
            web=["httpx>=0.28,<1", "h11 <2, >= 0.16"],
            cli=["sansio-moondream[web]"],
        )
    )
    assert found == {"msgspec": "0.22", "httpx": "0.28", "h11": "0.16"}


def test_the_constraints_are_sorted() -> None:
    lines = constraints(of("msgspec>=0.22", web=["h11[x]>=0.16"])).splitlines()
    assert lines[0].startswith("#")
    assert lines[1:] == ["h11==0.16", "msgspec==0.22"]


@pytest.mark.parametrize("requirement", ["httpx", "httpx<1", "httpx==0.28", "httpx>=0.27,>=0.28"])
def test_a_requirement_without_one_lower_bound(requirement: str) -> None:
    with pytest.raises(CheckFailed, match=r"should have one lower bound, such as httpx>=1\.0"):
        lowest_versions(of(requirement))


def test_two_bounds_of_one_name() -> None:
    with pytest.raises(CheckFailed, match=r"it has 4\.5 and 4\.6"):
        lowest_versions(of(a=["anyio>=4.5"], b=["anyio>=4.6"]))


def test_the_committed_file_fits() -> None:
    require_current()
    assert lowest_versions(project())["msgspec"] == "0.22"


def test_a_file_that_does_not_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    path = tmp_path / "lowest.txt"
    path.write_text("msgspec==0.1\n")
    monkeypatch.setattr("release.bounds.LOWEST", path)
    with pytest.raises(CheckFailed, match="python -m release lowest"):
        require_current()


def test_each_extra_has_a_smoke_test_and_a_part_of_the_tests() -> None:
    assert set(PARTS) == {PLAIN, *extras()}
    require_complete(extras())
    with pytest.raises(CheckFailed, match="PARTS of release/extras.py .* new is in one"):
        require_complete([*extras(), "new"])


def test_all_has_each_extra_but_the_heavy_one() -> None:
    (everything,) = project()["optional-dependencies"]["all"]
    names = set(everything.partition("[")[2].rstrip("]").split(","))
    assert names == set(extras()) - {"all", "supervision", "ray"}

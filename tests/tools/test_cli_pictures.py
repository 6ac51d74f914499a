"""The command line with several pictures, with none, and with drawings of the answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from moondream_tools import FakeServer
from moondream_tools.cli import Exit
from sansio_moondream import BBox, DetectResult, Point, PointResult, SegmentResult
from tests.helpers import PIXEL

SQUARE = SegmentResult("M0 0H1V1H0z", BBox(0.25, 0.25, 0.75, 0.75))
BOXES = DetectResult((BBox(0.1, 0.1, 0.4, 0.4), BBox(0.5, 0.5, 0.9, 0.9)))
POINTS = PointResult((Point(0.2, 0.2), Point(0.99, 0.99)))


def pixels(image: Image.Image, *places: tuple[int, int]) -> list[Any]:
    return [image.getpixel(place) for place in places]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "sea.png"
    Image.new("RGB", (200, 100), "blue").save(path)
    return path


@pytest.fixture
def ask(run: Any, fake: FakeServer) -> Any:
    return lambda *arguments: run(*arguments, "--endpoint", fake.url)


class TestSeveral:
    def test_each_in_its_turn_and_named(self, ask: Any, fake: FakeServer, photos: Path) -> None:
        for text in ("one", "two", "three"):
            fake.answer(text=text)
        names = [photos / f"{name}.gif" for name in "abc"]
        ran = ask("query", names[0], names[1], "--temperature", "0", names[2], "What?")
        assert ran.status == Exit.OK
        assert ran.out == "".join(
            f"==> {name} <==\n{text}\n"
            for name, text in zip(names, ("one", "two", "three"), strict=True)
        )
        requests: Any = fake.requests
        assert [request.question for request in requests] == ["What?"] * 3

    def test_json_has_nothing_between_its_lines(
        self, ask: Any, fake: FakeServer, photos: Path
    ) -> None:
        fake.answer(text="A moon.", times=2)
        ran = ask("caption", photos / "a.gif", photos / "b.gif", "--json", "--no-stream")
        assert [json.loads(line)["kind"] for line in ran.out.splitlines()] == ["completed"] * 2
        assert f"==> {photos / 'b.gif'} <==" in ran.err

    def test_the_others_are_asked_after_a_failure(
        self, ask: Any, fake: FakeServer, photos: Path
    ) -> None:
        fake.answer(status=400)
        fake.answer(text="A moon.")
        ran = ask("caption", photos / "a.gif", photos / "b.gif")
        assert (ran.status, len(fake.received)) == (Exit.REFUSED, 2)
        fake.answer(status=401)
        ran = ask("caption", photos / "a.gif", photos / "b.gif")
        assert (ran.status, len(fake.received)) == (Exit.REFUSED, 3)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["caption", "-", "-"], "give it once"),
            (["caption"], "name the pictures"),
            (
                ["caption", "PHOTOS"],
                "is a directory: name its pictures, or ask with moondream-stream",
            ),
            (["caption", "PHOTOS/a.gif", "none.gif"], "none.gif: no such file or directory"),
            (["caption", "PHOTOS/a.gif\0"], "is not the name of a file"),
            (["detect", "PHOTOS/a.gif", "PHOTOS/b.gif"], "there is no OBJECT"),
            (["detect", "moon"], "give a picture before OBJECT"),
            (
                ["detect", "PHOTOS/a.gif", "moon", "--odd"],
                "unrecognized arguments: --odd\nTry: moondream-stream detect --help\n",
            ),
            (
                ["bulk", "caption", "PHOTOS", "--odd"],
                "unrecognized arguments: --odd\nTry: moondream-stream bulk caption --help\n",
            ),
            (["schema", "completed", "more"], "unrecognized arguments: more"),
        ],
    )
    def test_wrong(
        self, ask: Any, fake: FakeServer, photos: Path, arguments: list[str], words: str
    ) -> None:
        options = [word.replace("PHOTOS", str(photos)) for word in arguments]
        ran = ask(*options)
        assert (ran.status, ran.out, len(fake.received)) == (Exit.USAGE, "", 0)
        assert words in ran.err


def test_a_question_about_no_picture(ask: Any, fake: FakeServer) -> None:
    fake.answer(text="A satellite.")
    ran = ask("query", "What is a moon?")
    assert (ran.status, ran.out) == (Exit.OK, "A satellite.\n")
    request: Any = fake.requests[0]
    assert request.image is None


class TestDrawings:
    def test_of_an_outline(self, ask: Any, fake: FakeServer, picture: Path) -> None:
        fake.answer(result=SQUARE)
        files = {
            f"--{kind}": picture.with_name(f"{kind}.{end}")
            for kind, end in (
                ("overlay", "jpg"),
                ("mask", "png"),
                ("svg", "svg"),
                ("cutout", "webp"),
            )
        }
        options = [word for pair in files.items() for word in pair]
        ran = ask("segment", picture, "moon", *options, "--no-stream")
        assert ran.status == Exit.OK
        for kind, path in files.items():
            assert f"{kind[2:]}: {path}\n" in ran.err
        with Image.open(files["--overlay"]) as overlay:
            assert (overlay.format, overlay.size) == ("JPEG", (200, 100))
            (red, _, blue), *_ = pixels(overlay, (100, 50))
            assert red > 90 and blue < 170
        with Image.open(files["--mask"]) as mask:
            assert (mask.mode, *pixels(mask, (100, 50), (10, 10))) == ("L", 255, 0)
        with Image.open(files["--cutout"]) as cutout:
            assert pixels(cutout.getchannel("A"), (100, 50), (10, 10)) == [255, 0]
        assert files["--svg"].read_text().startswith("<svg")

    @pytest.mark.parametrize(("skill", "result"), [("detect", BOXES), ("point", POINTS)])
    def test_of_numbered_places(
        self, ask: Any, fake: FakeServer, picture: Path, skill: str, result: Any
    ) -> None:
        fake.answer(result=result)
        fake.answer(result=result)
        Image.new("RGB", (800, 400), "blue").save(picture)
        other = picture.with_name("land.png")
        other.write_bytes(picture.read_bytes())
        pattern = picture.with_name("{name}-drawn.png")
        ran = ask(skill, picture, other, "moon", "--overlay", pattern)
        assert ran.status == Exit.OK
        for name in ("sea", "land"):
            with Image.open(picture.with_name(f"{name}-drawn.png")) as drawn:
                colors = {color for _, color in drawn.getcolors() or []}
            assert {(255, 0, 0), (255, 255, 255), (0, 0, 255)} <= colors

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--overlay", "PICTURE"], "is the picture itself"),
            (["--overlay", "FOLDER"], "it is a folder"),
            (["--overlay", "FOLDER/none/a.png"], "the folder of --overlay"),
            (["--overlay", "FOLDER/a.txt"], "should end in the format of a picture"),
            (["--cutout", "FOLDER/a.jpg"], "let its name end in .png"),
            (["--svg", "FOLDER/a.png"], "let its name end in .svg"),
            (["--mask", "FOLDER/a.png", "--overlay", "FOLDER/a.png"], "written twice"),
            (["PICTURE", "--svg", "FOLDER/a.svg"], "put {name} in it, such as {name}-svg.svg"),
        ],
    )
    def test_that_cannot_be(
        self, ask: Any, fake: FakeServer, picture: Path, options: list[str], words: str
    ) -> None:
        given = [
            option.replace("PICTURE", str(picture)).replace("FOLDER", str(picture.parent))
            for option in options
        ]
        more = [given.pop(0)] if given[0] == str(picture) else []
        ran = ask("segment", picture, *more, "moon", *given)
        assert (ran.status, words in ran.err) == (Exit.USAGE, True), ran.err

    def test_of_an_invalid_path(self, ask: Any, fake: FakeServer, picture: Path) -> None:
        fake.answer(result=SegmentResult("M0 0 what", BBox(0, 0, 1, 1)))
        target = picture.with_name("mask.png")
        ran = ask("segment", picture, "moon", "--mask", target, "--no-stream")
        assert (ran.status, target.exists()) == (Exit.USAGE, False)
        assert "--mask is not drawn: " in ran.err

    def test_without_pillow(
        self, ask: Any, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("moondream_tools._drawings.find_spec", lambda name: None)
        ran = ask("detect", image, "moon", "--overlay", tmp_path / "a.png")
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert "--overlay needs Pillow: pip install 'sansio-moondream[cli]'" in ran.err


def test_an_endpoint_and_retries(
    run: Any, fake: FakeServer, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOONDREAM_ENDPOINT", fake.url)
    fake.answer(status=503)
    ran = run("caption", image)
    assert (ran.status, len(fake.received)) == (Exit.REFUSED, 1)
    fake.answer(status=503)
    fake.answer(text="A moon.")
    ran = run("caption", image, "--retries", "2")
    assert (ran.status, ran.out, len(fake.received)) == (Exit.OK, "A moon.\n", 3)
    assert "; again in 0." in ran.err


def test_several_recordings(run: Any, image: str, tmp_path: Path) -> None:
    from tests.tools.command_line import SHIPPED

    options = ("--replay", SHIPPED, "--speed", "max")
    assert run("caption", image, *options).status == Exit.OK
    assert run("point", image, "moon", *options).status == Exit.OK
    ran = run("caption", image, "--replay", tmp_path / "none")
    assert f"--replay: {tmp_path / 'none'}: no such file" in ran.err
    (tmp_path / "empty").mkdir()
    assert "has no recordings" in run("caption", image, "--replay", tmp_path / "empty").err
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.jsonl").write_bytes(PIXEL.data)
    assert "x.jsonl, line 1: " in run("caption", image, "--replay", tmp_path / "bad").err

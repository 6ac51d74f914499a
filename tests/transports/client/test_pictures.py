"""Pictures from files, and the shorthands that stream, on each backend."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from sansio_moondream import (
    CaptionRequest,
    ChatMessage,
    ChatRequest,
    Completed,
    LocalProtocolError,
    QueryRequest,
    Request,
    SegmentRequest,
    Settings,
    TextDelta,
    encode_image,
)
from tests.core.pillow import four_corners, saved
from tests.helpers import END, PIXEL, record
from tests.transports.adapters import Adapter, never
from tests.transports.fakes import ENDPOINT, WHOLE, AsyncFakeStream, FakeStream, JSONFakeStream

BACKENDS = [Adapter(name, name, never) for name in ("sync", "asyncio", "trio")]
each_backend = pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)

LATER = b"GIF89a\1\0\1\0 and more"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "moon.gif"
    path.write_bytes(PIXEL.data)
    return path


def client(backend: Adapter, transport: FakeStream) -> Any:
    return backend.client(AsyncFakeStream(transport) if backend.is_async else transport, ENDPOINT)


@each_backend
class TestClients:
    def test_every_skill_takes_a_path(self, backend: Adapter, file: Path) -> None:
        async def main() -> None:
            for skill, about in {
                "query": {"question": "Q"},
                "caption": {},
                "segment": {"object": "o"},
                "detect": {"object": "o"},
                "point": {"object": "o"},
            }.items():
                answer = {"answer": "", "caption": "", "path": "", "objects": [], "points": []}
                transport = JSONFakeStream(json.dumps(answer).encode(), b"")
                await getattr(client(backend, transport), skill)(image=file, **about)
                assert json.loads(transport.requests[0].body)["image_url"] == PIXEL.data_url

        backend.run(main)

    def test_shorthands_stream(self, backend: Adapter, file: Path) -> None:
        settings, refs = Settings(max_tokens=9), [(0.5, 0.5)]
        messages: list[Any] = [{"role": "user", "content": "Q"}]
        common: dict[str, Any] = {"settings": settings, "model": "m"}
        text = (record({"chunk": "A moon"}), END, b"")
        chat = {"choices": [{"delta": {"content": "A moon"}, "finish_reason": "stop"}]}
        cases: list[tuple[str, dict[str, Any], type[Request[Any]], tuple[bytes, ...]]] = [
            (
                "query",
                {"question": "Q", "image": PIXEL, "reasoning": True, "spatial_refs": refs},
                QueryRequest,
                text,
            ),
            ("caption", {"image": PIXEL, "length": "short"}, CaptionRequest, text),
            (
                "segment",
                {"image": PIXEL, "object": "o", "spatial_refs": refs},
                SegmentRequest,
                (record({"type": "final", "path": "M0 0z", "completed": True}), b""),
            ),
            (
                "chat",
                {"messages": messages, "reasoning": False},
                ChatRequest,
                (record(chat), b"data: [DONE]\n\n", b""),
            ),
        ]

        async def main() -> None:
            for skill, about, kind, chunks in cases:
                for image in (PIXEL, PIXEL.data, file):
                    given = about | common | ({"image": image} if "image" in about else {})
                    transport = FakeStream(*chunks)
                    stream = getattr(client(backend, transport), f"stream_{skill}")(**given)
                    assert transport.requests == []
                    async with stream:
                        events = [event async for event in stream]
                    request = kind(**about, **common)
                    assert transport.requests == [request.to_http(ENDPOINT)]
                    assert isinstance(events[-1], Completed)
                    assert type(events[-1].result).__name__ == f"{skill.title()}Result"

        backend.run(main)

    def test_chat_with_pictures_of_any_kind(self, backend: Adapter, file: Path) -> None:
        photo = four_corners(8)
        other = file.with_name("other.gif")
        other.write_bytes(LATER)
        given: list[Any] = [file, "What?", photo, PIXEL.data, other, PIXEL, "data: no picture"]
        sent = [PIXEL, "What?", encode_image(photo), PIXEL, encode_image(LATER), *given[-2:]]
        first = ChatMessage("user", [PIXEL, "Hi"])
        openais = {"type": "image_url", "image_url": {"url": PIXEL.data_url, "detail": "low"}}
        request = ChatRequest(
            messages=[first, {"role": "user", "content": [*sent, openais]}], model="m"
        )
        body = b'{"choices": [{"message": {"content": "A"}, "finish_reason": "stop"}]}'

        async def main() -> None:
            for parts in ([*given, openais], iter([*given, openais])):
                messages = iter([first, {"role": "user", "content": parts}])
                transport = JSONFakeStream(body, b"")
                result = await client(backend, transport).chat(messages=messages, model="m")
                assert result.text == "A"
                assert transport.requests == [request.to_http(ENDPOINT, stream=False)]

        backend.run(main)

    @pytest.mark.parametrize(
        "messages", ["Hi", {"role": "user"}, 7, ["Hi"], [{"role": "user", "content": b"GIF89a"}]]
    )
    def test_chat_that_is_none(self, backend: Adapter, messages: Any) -> None:
        """It is refused as `ChatRequest` refuses it."""
        with pytest.raises((TypeError, ValueError)) as refused:
            ChatRequest(messages=messages)
        with pytest.raises(refused.type) as caught:
            client(backend, FakeStream()).stream_chat(messages=messages)
        assert str(caught.value) == str(refused.value)

    def test_chat_about_a_missing_file(self, backend: Adapter, file: Path) -> None:
        async def main() -> None:
            parts = [file, file.with_name("missing.gif")]
            with pytest.raises(FileNotFoundError, match="missing"):
                await client(backend, FakeStream()).chat(
                    messages=[{"role": "user", "content": parts}]
                )

        backend.run(main)

    def test_file_is_read_when_the_stream_is_entered(self, backend: Adapter, file: Path) -> None:
        async def main() -> None:
            transport, write = FakeStream(*WHOLE), file.write_bytes
            stream = client(backend, transport).stream_query(question="Q", image=file)
            assert stream.snapshot is None
            write(LATER)
            async with stream:
                assert await anext(stream) == TextDelta("A")
                with pytest.raises(LocalProtocolError, match="opened once"):
                    await stream.__aenter__()
            body = json.loads(transport.requests[0].body)
            assert body["image_url"] == encode_image(LATER).data_url

        backend.run(main)

    def test_other_arguments_are_checked_at_the_call(self, backend: Adapter, file: Path) -> None:
        one = client(backend, FakeStream())
        with pytest.raises(ValueError, match="question should be text"):
            one.stream_query(question=" ", image=file)
        with pytest.raises(TypeError, match="image should be an EncodedImage, .*not NoneType"):
            one.stream_caption(image=None)
        with pytest.raises(TypeError, match="not BytesIO"):
            one.stream_caption(image=io.BytesIO(PIXEL.data))

    @pytest.mark.parametrize(
        ("name", "kind", "words"),
        [
            ("missing.jpg", FileNotFoundError, "missing.jpg"),
            ("folder", IsADirectoryError, "folder"),
            ("notes.txt", ValueError, r"notes\.txt: Pillow cannot open the picture: it should be"),
            ("broken.bmp", ValueError, r"broken\.bmp: Pillow cannot"),
        ],
    )
    def test_errors_name_the_file(
        self,
        backend: Adapter,
        tmp_path: Path,
        name: str,
        kind: type[Exception],
        words: str,
    ) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "notes.txt").write_text("no picture")
        (tmp_path / "broken.bmp").write_bytes(saved(four_corners(), "BMP")[:90])

        async def main() -> None:
            transport = FakeStream(*WHOLE)
            with pytest.raises(kind, match=words):
                await client(backend, transport).caption(image=tmp_path / name)
            stream = client(backend, transport).stream_caption(image=tmp_path / name)
            for _ in range(2):  # it does not become another request
                with pytest.raises(kind, match=words):
                    await stream.__aenter__()
            assert transport.requests == []

        backend.run(main)

    def test_text_that_is_a_path(self, backend: Adapter) -> None:
        async def main() -> None:
            words = r"base64 data URL .*not 'moon\.jpg'\. For a file, .*Path\('moon\.jpg'\)$"
            for skill in ("caption", "stream_caption"):
                with pytest.raises(ValueError, match=words):
                    await getattr(client(backend, FakeStream()), skill)(image="moon.jpg")

        backend.run(main)

    def test_data_url(self, backend: Adapter) -> None:
        async def main() -> None:
            transport = JSONFakeStream(b'{"caption": ""}', b"")
            await client(backend, transport).caption(image=PIXEL.data_url)
            assert json.loads(transport.requests[0].body)["image_url"] == PIXEL.data_url

        backend.run(main)

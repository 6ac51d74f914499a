"""What a model of ours does beyond that: samples of the documentation, errors, leaving a stream."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from moondream_transports import sdk as md
from sansio_moondream import (
    AuthenticationError,
    IncompleteStream,
    QueryResult,
    ServerError,
    encode_image,
)
from tests.helpers import delta
from tests.transports.sdk.service import IMAGE, ours


def test_the_documented_samples(service: Any):
    model = ours(service)
    said = "".join(model.query(IMAGE, question="What is in this image?", stream=True)["answer"])
    assert said == "".join(model.query(IMAGE, "What is in this image?", True)["answer"])
    assert "".join(model.caption(IMAGE, stream=True)["caption"])
    box, chunks, end = None, [], None
    for update in model.segment(IMAGE, "moon", stream=True):
        assert isinstance(update, dict)
        if "bbox" in update and not update.get("completed"):
            box = update["bbox"]
        if "chunk" in update:
            chunks.append(update["chunk"])
        if update.get("completed"):
            end = update["path"]
    assert box is not None
    assert chunks
    assert end is not None
    assert end.startswith("M")


def test_the_request_leaves_at_the_call_and_the_id_comes_when_it_is_known(service: Any):
    result = ours(service).query(IMAGE, "What is in this image?", stream=True)
    assert len(service.asked) == 1
    answer = result["answer"]
    assert isinstance(answer, Generator)
    "".join(answer)
    assert result["request_id"]
    assert list(answer) == []
    with pytest.raises(StopIteration):
        next(answer)


def test_faults_are_this_librarys(service: Any):
    service.answer = 401, b'{"error": {"message": "no such key"}}'
    with pytest.raises(AuthenticationError, match="no such key"):
        ours(service).query(IMAGE, "?")
    with pytest.raises(AuthenticationError, match="no such key"):
        next(ours(service).caption(IMAGE, stream=True)["caption"])  # type: ignore[arg-type]
    service.answer = 200, b'data: {"error": {"message": "busy", "type": "server_error"}}\n\n'
    with pytest.raises(ServerError, match="busy"):
        next(ours(service).segment(IMAGE, "moon", stream=True))  # type: ignore[arg-type]
    service.answer = 200, delta("The") + delta(" moon")
    got: list[str] = []
    with pytest.raises(IncompleteStream) as caught:
        got.extend(ours(service).query(IMAGE, "?", stream=True)["answer"])
    assert isinstance(caught.value.partial, QueryResult)
    assert caught.value.partial.text == "The moon"


@pytest.mark.parametrize("leave", ["close", "drop", "throw", "drop unbegun"])
def test_leaving_a_stream_closes_the_connection(service: Any, leave: str):
    service.answer, service.pause = (200, delta("The")), threading.Event()
    output: Any = ours(service).query(IMAGE, "?", stream=True)
    answer = output["answer"]
    stream = answer._stream
    del output
    assert leave == "drop unbegun" or next(answer) == "The"
    assert "open" in repr(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if leave == "close":
            answer.close()
            assert list(answer) == []
        elif leave == "throw":
            with pytest.raises(KeyError, match="mine"):
                answer.throw(KeyError("mine"))
        else:
            gc.disable()  # nothing has to be found: there is no ring
            try:
                del answer
            finally:
                gc.enable()
    assert "open" not in repr(stream)


def test_refusals_say_why(service: Any):
    with pytest.raises(ValueError, match="local=True loads a model"):
        md.vl(local=True, model="moondream3-preview")
    with pytest.raises(ValueError, match="question"):
        ours(service).query(IMAGE)
    with pytest.raises(ValueError, match="plain http"):
        md.vl(api_key="key", endpoint="http://moondream.test/v1")
    md.vl(api_key="key", endpoint="http://moondream.test/v1", allow_insecure_key=True)
    for name in ("photon", "ft"):
        with pytest.raises(AttributeError, match="official package"):
            getattr(md, name)
    with pytest.raises(AttributeError, match="nonsense"):
        md.nonsense  # noqa: B018
    assert not service.asked


def test_a_model_is_a_context_manager_that_leaves_a_transport_of_your_own_open(service: Any):
    with ours(service, model="moondream3-preview/mine@7") as model:
        model.caption(IMAGE)
    model.caption(IMAGE)
    assert [body["model"] for _, _, body in service.asked] == ["moondream3-preview/mine@7"] * 2


def test_pictures_are_those_of_a_client(service: Any, tmp_path: Path):
    path = tmp_path / "moon.png"
    IMAGE.save(path)
    model, data = ours(service), path.read_bytes()
    for picture in (path, data, encode_image(data), model.encode_image(path)):
        model.caption(picture)
    sent = [body["image_url"] for _, _, body in service.asked]
    assert sent == [encode_image(data).data_url] * 4
    with pytest.raises(ValueError, match=r"For a file, pass its path: Path\('moon\.png'\)"):
        model.caption("moon.png")
    with pytest.raises(FileNotFoundError, match="missing"):
        model.query(tmp_path / "missing", "?", stream=True)

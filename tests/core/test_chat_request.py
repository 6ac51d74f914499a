"""Chat requests: the body that is sent, and requests as values."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from sansio_moondream import ChatMessage, ChatRequest, EncodedImage, Endpoint, Settings
from sansio_moondream.recording import RecordingHeader
from tests.core.chat_requests import IMAGE, TEXT, URL, body_of
from tests.helpers import CHAT, LOCAL, PIXEL

BIG = EncodedImage("data:image/jpeg;base64," + "/9j/".ljust(10_000_000, "A"))


class TestBody:
    def test_exactly(self):
        assert body_of(ChatRequest(messages=[ChatMessage("user", "Hi")])) == {
            "model": "moondream3-preview",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": True,
        }
        request = ChatRequest(
            messages=[
                ChatMessage("system", "Be brief."),
                ChatMessage("user", [PIXEL, "What?"]),
                ChatMessage("assistant", "月"),
            ],
            reasoning=False,
            settings=Settings(temperature=0.5, top_p=0.3, max_tokens=64),
            model="moondream3-preview/FINETUNE@7",
        )
        assert body_of(
            request, stream=False, extra_body={"stream_options": {"include_usage": True}}
        ) == {
            "model": "moondream3-preview/FINETUNE@7",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [IMAGE, TEXT]},
                {"role": "assistant", "content": "月"},
            ],
            "reasoning": False,
            "temperature": 0.5,
            "top_p": 0.3,
            "max_completion_tokens": 64,
            "stream": False,
            "stream_options": {"include_usage": True},
        }
        assert "settings" not in body_of(
            ChatRequest(messages=request.messages, settings=Settings())
        )

    def test_address_and_key(self):
        http = CHAT.to_http(Endpoint(api_key="KEY"))
        assert (http.method, http.url) == ("POST", "https://api.moondream.ai/v1/chat/completions")
        assert dict(http.headers)["Authorization"] == "Bearer KEY"
        assert "X-Moondream-Auth" not in dict(http.headers)
        assert "Authorization" not in dict(CHAT.to_http(LOCAL).headers)
        own = CHAT.to_http(Endpoint(api_key="KEY", headers={"authorization": "Basic x"})).headers
        assert [value for name, value in own if name.lower() == "authorization"] == ["Basic x"]

    @pytest.mark.parametrize("n", [0, 2, "2", 1.5])
    def test_only_one_answer_can_be_asked_for(self, n: Any):
        with pytest.raises(ValueError, match="^n should be 1, as only one answer is read, not"):
            CHAT.to_http(LOCAL, extra_body={"n": n})
        assert body_of(CHAT, extra_body={"n": 1})["n"] == 1

    def test_other_messages_can_go_as_they_are(self):
        tool = {"role": "tool", "tool_call_id": "1", "content": "{}"}
        assert body_of(CHAT, extra_body={"messages": [tool]})["messages"] == [tool]


class TestValues:
    def test_messages(self):
        message = ChatMessage("user", [PIXEL, "What?"])
        for again in (
            pickle.loads(pickle.dumps(message)),
            copy.copy(message),
            copy.deepcopy(message),
        ):
            assert (again, hash(again)) == (message, hash(message))
        with pytest.raises(AttributeError):
            message.role = "system"  # type: ignore[misc]
        match message:
            case ChatMessage("user", (EncodedImage(), text)):
                assert text == "What?"
            case other:
                pytest.fail(repr(other))

    def test_reprs_are_short(self):
        big = ChatMessage("user", [BIG, "What is this? " * 100])
        assert repr(big) == (
            "ChatMessage('user', (<EncodedImage image/jpeg, 10,000,023 characters>, "
            "'What is this? What is this? What is this? What is this? What…'))"
        )
        assert (
            repr(ChatRequest(messages=[ChatMessage("user", "Hi")]))
            == "ChatRequest(messages=(ChatMessage('user', 'Hi'),))"
        )
        request = ChatRequest(
            messages=[big] * 5, reasoning=True, settings=Settings(top_p=1), model="m"
        )
        assert repr(request) == (
            "ChatRequest(settings=Settings(top_p=1), model='m', reasoning=True, "
            f"messages=(<4 before>, {big!r}))"
        )
        assert len(repr(request.to_http(LOCAL))) < 300


def test_no_key_and_no_picture_reaches_a_recording():
    http = ChatRequest(messages=[{"role": "user", "content": [IMAGE, TEXT]}]).to_http(
        Endpoint(api_key="SECRET")
    )
    header = RecordingHeader.of(http, 200, ())
    assert "SECRET" not in repr(header.request_headers)
    image, text = header.request_body["messages"][0]["content"]
    assert (image["image_url"]["url"]["media_type"], text) == ("image/gif", TEXT)
    assert URL not in json.dumps(header.request_body)

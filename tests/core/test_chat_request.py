"""What a chat asks: messages in two forms, pictures as data URLs, and nothing that the service
would have to refuse.
"""

from __future__ import annotations

import copy
import json
import pickle
from collections import UserDict
from types import MappingProxyType
from typing import Any

import pytest

from sansio_moondream import ChatMessage, ChatRequest, EncodedImage, Endpoint, Settings
from sansio_moondream.recording import RecordingHeader
from tests.helpers import CHAT, LOCAL, PIXEL

URL = PIXEL.data_url
TEXT, IMAGE = {"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": URL}}
BIG = EncodedImage("data:image/jpeg;base64," + "A" * 10_000_000)


def body_of(request: ChatRequest, **options: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.to_http(LOCAL, **options).body)
    return body


def messages_of(*messages: Any) -> Any:
    return body_of(ChatRequest(messages=messages))["messages"]


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


class TestMessages:
    @pytest.mark.parametrize(
        "content",
        [
            [PIXEL, "What?"],
            (PIXEL, TEXT),
            [IMAGE, "What?"],
            [IMAGE, TEXT],
            iter([PIXEL, TEXT]),
            [MappingProxyType(IMAGE), UserDict(TEXT)],
        ],
    )
    def test_parts_in_two_forms_are_the_same(self, content: Any):
        message = ChatMessage("user", content)
        assert message == ChatMessage("user", (PIXEL, "What?"))
        assert messages_of(message) == [{"role": "user", "content": [IMAGE, TEXT]}]

    @pytest.mark.parametrize("make", [dict, UserDict, MappingProxyType])
    def test_mappings_and_values_are_the_same(self, make: Any):
        given = make({"role": "user", "content": [IMAGE, TEXT]})
        assert ChatRequest(messages=[given]) == ChatRequest(
            messages=(ChatMessage("user", [PIXEL, "What?"]),)
        )

    def test_what_other_clients_dump(self):
        """They write every field that a message may have."""
        dumped = {
            "role": "assistant",
            "content": "A moon.",
            "refusal": None,
            "tool_calls": None,
            "audio": None,
        }
        assert messages_of(dumped) == [{"role": "assistant", "content": "A moon."}]

    def test_a_generator_is_read_once(self):
        request = ChatRequest(messages=(ChatMessage("user", str(number)) for number in range(2)))
        assert body_of(request) == body_of(request)
        assert [message["content"] for message in body_of(request)["messages"]] == ["0", "1"]

    def test_what_was_given_may_change_later(self):
        given = {"role": "user", "content": ["What?"]}
        request = ChatRequest(messages=[given])
        given["content"].append("And?")  # type: ignore[attr-defined]
        assert body_of(request)["messages"][0]["content"] == [TEXT]

    def test_blank_text_is_the_servers_affair(self):
        assert (
            messages_of(ChatMessage("assistant", ""), ChatMessage("user", [""]))[0]["content"] == ""
        )

    @pytest.mark.parametrize(
        ("message", "kind", "words"),
        [
            (5, ValueError, "should be a ChatMessage, or a mapping in OpenAI's form, not 5"),
            (
                None,
                TypeError,
                "should be a ChatMessage, or a mapping in OpenAI's form, not NoneType",
            ),
            (
                {},
                ValueError,
                "should have a role and a content, not neither; other fields can go by extra_body",
            ),
            ({"role": "user"}, ValueError, "should have a role and a content, not role;"),
            (
                {"role": "user", "content": None},
                ValueError,
                "should have a role and a content, not role;",
            ),
            (
                {"role": "user", "content": "x", "name": "Al"},
                ValueError,
                "should have a role and a content, not role, content, name;",
            ),
            (
                {"role": "tool", "content": "x"},
                ValueError,
                """.role should be "system", "user" or "assistant", not 'tool'""",
            ),
            (
                {"role": ["user"], "content": "x"},
                TypeError,
                '.role should be "system", "user" or "assistant", not list',
            ),
            (
                {"role": "user", "content": 5},
                ValueError,
                ".content should be text, or a list of parts, not 5",
            ),
            (
                {"role": "user", "content": TEXT},
                TypeError,
                ".content should be text, or a list of parts, not dict",
            ),
            (
                {"role": "user", "content": []},
                ValueError,
                ".content should be text, or a list of parts, and not empty, not ()",
            ),
            (
                {"role": "user", "content": "\ud83c"},
                ValueError,
                r".content should be text that has no lone surrogates, not '\ud83c'",
            ),
            (
                {"role": "user", "content": ["é\ud83c"]},
                ValueError,
                ".content[0] should be text that has no lone surrogates",
            ),
            (
                {"role": "user", "content": ["x", b"GIF89a"]},
                TypeError,
                ".content[1] should be text, an EncodedImage, or a mapping",
            ),
            (
                {"role": "user", "content": [7]},
                ValueError,
                ".content[0] should be text, an EncodedImage, or a mapping in OpenAI's form, not 7",
            ),
            (
                {"role": "user", "content": [{"type": "input_audio"}]},
                ValueError,
                "Invalid value 'input_audio'",
            ),
            (
                {"role": "user", "content": [{"text": "x"}]},
                ValueError,
                "missing required field `type`",
            ),
            (
                {"role": "user", "content": [{"type": "text"}]},
                ValueError,
                "missing required field `text`",
            ),
            (
                {"role": "user", "content": [{"type": "text", "text": "\ud83c"}]},
                ValueError,
                "no lone surrogates",
            ),
            (
                {"role": "user", "content": [{"type": "image_url", "image_url": URL}]},
                ValueError,
                "Expected `object`, got `str`",
            ),
            (
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": URL, "detail": "low"}}],
                },
                ValueError,
                "unknown field `detail`",
            ),
            (
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "https://example.org/moon.jpg"}}
                    ],
                },
                ValueError,
                "should be a base64 data URL",
            ),
        ],
    )
    def test_bad_ones(self, message: Any, kind: type[Exception], words: str):
        with pytest.raises(kind) as caught:
            ChatRequest(messages=[ChatMessage("user", "Hi"), message])
        assert type(caught.value) is kind
        assert str(caught.value).startswith("messages[1]")
        assert words in str(caught.value)
        assert len(str(caught.value)) < 350

    @pytest.mark.parametrize(
        ("bad", "kind", "words"),
        [
            (
                {"messages": "Hi"},
                ValueError,
                "^messages should be a list of ChatMessages, or of mappings in OpenAI's form, not 'Hi'$",
            ),
            (
                {"messages": {"role": "user"}},
                TypeError,
                "^messages should be a list of ChatMessages.*, not dict$",
            ),
            (
                {"messages": None},
                TypeError,
                "^messages should be a list of ChatMessages.*, not NoneType$",
            ),
            (
                {"messages": []},
                ValueError,
                r"^messages should be a list of ChatMessages.*, and not empty, not \(\)$",
            ),
            ({"reasoning": 1}, ValueError, "^reasoning should be True, False or None, not 1$"),
            (
                {"settings": Settings(max_objects=3)},
                ValueError,
                "^settings.max_objects should be None in a chat, not 3$",
            ),
            ({"settings": {"top_p": 1}}, TypeError, "^settings should be a Settings, not dict$"),
            ({"model": " "}, ValueError, "^model should be a model's name"),
        ],
    )
    def test_bad_fields(self, bad: dict[str, Any], kind: type[Exception], words: str):
        make: Any = ChatRequest
        with pytest.raises(kind, match=words):
            make(**({"messages": CHAT.messages} | bad))


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
            messages=[big] * 50, reasoning=True, settings=Settings(top_p=1), model="m"
        )
        assert (
            repr(request)
            == f"ChatRequest(settings=Settings(top_p=1), model='m', reasoning=True, messages=(<49 before>, {big!r}))"
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

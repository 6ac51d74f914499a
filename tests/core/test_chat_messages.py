"""Chat requests: messages and their parts, valid and refused."""

from __future__ import annotations

from collections import UserDict
from types import MappingProxyType
from typing import Any

import pytest

from sansio_moondream import ChatMessage, ChatRequest, EncodedImage, Settings
from tests.core.chat_requests import IMAGE, TEXT, URL, body_of
from tests.helpers import CHAT, PIXEL


def messages_of(*messages: Any) -> Any:
    return body_of(ChatRequest(messages=messages))["messages"]


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

    @pytest.mark.parametrize("detail", ["low", None])
    def test_detail_of_a_picture(self, detail: str | None):
        image = EncodedImage(PIXEL.data_url, detail)
        given = {"type": "image_url", "image_url": {"url": PIXEL.data_url, "detail": detail}}
        assert ChatMessage("user", [given]) == ChatMessage("user", [image])
        sent = IMAGE if detail is None else given
        assert messages_of(ChatMessage("user", [image]))[0]["content"] == [sent]

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
            # 80 characters of names are shown.
            (
                {"role": "user", "content": "x", "n" * 65: 1},
                ValueError,
                f"not role, content, {'n' * 65};",
            ),
            (
                {"role": "user", "content": "x", "n" * 66: 1},
                ValueError,
                f"not role, content, {'n' * 65}…;",
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
                    "content": [{"type": "image_url", "image_url": {"url": URL, "width": 9}}],
                },
                ValueError,
                "unknown field `width`",
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
                (
                    "^messages should be a list of ChatMessages, or of mappings in OpenAI's "
                    "form, not 'Hi'$"
                ),
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

"""Agents of pydantic-ai on this model, against a server on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from moondream_model import MoondreamModel
from PIL import Image
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, PromptedOutput
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UserError
from pydantic_ai.messages import ModelResponse, ThinkingPart

from moondream_tools import FakeServer
from moondream_transports import AsyncClient
from sansio_moondream import ChatRequest, EncodedImage, Endpoint, RateLimitError


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


def run(server: FakeServer, use: Callable[[MoondreamModel], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with AsyncClient(endpoint=Endpoint(server.url)) as client:
            return await use(MoondreamModel(client))

    return asyncio.run(main())


def picture() -> BinaryContent:
    png = BytesIO()
    Image.new("RGB", (8, 8), "navy").save(png, "PNG")
    return BinaryContent(data=png.getvalue(), media_type="image/png")


def test_an_agent_asks_about_a_picture_and_goes_on(server: FakeServer):
    server.answer(skill="chat", text="A night sky.", reasoning="It is dark.")
    server.answer(skill="chat", text="None.")

    async def talk(model: MoondreamModel) -> tuple[str, str]:
        agent = Agent(model, instructions="Be brief.", model_settings={"temperature": 0})
        first = await agent.run(["What is it?", picture()])
        response = first.all_messages()[-1]
        assert isinstance(response, ModelResponse)
        assert isinstance(response.parts[0], ThinkingPart)
        second = await agent.run("Any stars?", message_history=first.all_messages())
        return first.output, second.output

    assert run(server, talk) == ("A night sky.", "None.")
    first, second = server.requests
    assert isinstance(first, ChatRequest)
    assert isinstance(second, ChatRequest)
    assert first.settings is not None
    assert first.settings.temperature == 0
    system, user = first.messages
    assert (system.role, system.content) == ("system", "Be brief.")
    assert (user.content[0], type(user.content[1])) == ("What is it?", EncodedImage)
    assert [m.role for m in second.messages] == ["system", "user", "assistant", "user"]


def test_the_text_of_an_agent_grows(server: FakeServer):
    server.answer(skill="chat", text="A dark 月 sky.")

    async def stream(model: MoondreamModel) -> list[str]:
        async with Agent(model).run_stream("What is it?") as streamed:
            return [text async for text in streamed.stream_text(delta=True, debounce_by=None)]

    deltas = run(server, stream)
    assert len(deltas) > 1
    assert "".join(deltas) == "A dark 月 sky."


def test_a_typed_output(server: FakeServer):
    class Scene(BaseModel):
        night: bool

    server.answer(skill="chat", text='{"night": true}')

    async def ask(model: MoondreamModel) -> Scene:
        agent = Agent(model, output_type=PromptedOutput(Scene))
        return (await agent.run(["Describe it.", picture()])).output

    assert run(server, ask) == Scene(night=True)
    assert '"night"' in repr(server.requests[0].to_dict()), "the schema is in the prompt"


def test_an_answer_that_is_no_such_output_is_asked_again(server: FakeServer):
    class Scene(BaseModel):
        night: bool

    server.answer(skill="chat", text="It is night.")
    server.answer(skill="chat", text='{"night": true}')

    async def ask(model: MoondreamModel) -> Scene:
        return (await Agent(model, output_type=PromptedOutput(Scene)).run("Describe it.")).output

    assert run(server, ask) == Scene(night=True)


def test_errors_keep_their_status_and_a_cut_stream_is_one(server: FakeServer):
    server.answer(error=RateLimitError("slowly"))
    with pytest.raises(ModelHTTPError) as refused:
        run(server, lambda model: Agent(model).run("What is it?"))
    assert refused.value.status_code == 429

    server.answer(skill="chat", text="A dark sky.", fault="close@2")

    async def stream(model: MoondreamModel) -> None:
        async with Agent(model).run_stream("What is it?") as streamed:
            async for _ in streamed.stream_text(debounce_by=None):
                pass

    with pytest.raises(ModelAPIError, match="closed the connection before the end"):
        run(server, stream)


def test_tools_are_refused_in_words(server: FakeServer):
    agent_of = Agent[None, str]

    async def ask(model: MoondreamModel) -> None:
        agent = agent_of(model)

        @agent.tool_plain
        def now() -> str:
            return "noon"

        await agent.run("What time is it?")

    with pytest.raises(UserError, match="Moondream"):
        run(server, ask)

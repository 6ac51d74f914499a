"""`moondream-stream chat`: a conversation, on the endpoint in OpenAI's form.

1. Messages that are given are sent one after the other, each with all that was said before.
2. On a terminal without messages the user types them. A line that begins with / is a command.
3. An answer that the user interrupts stays in the conversation as far as it came. A message without
   an answer is removed, so that the next one can be tried.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module

from moondream_transports import Client, NoRecording
from sansio_moondream import (
    ChatMessage,
    ChatRequest,
    Completed,
    EncodedImage,
    TextDelta,
)

from ._ask import make_output
from ._client import make_client
from ._client_arguments import UsageError, settings_of
from ._exit import ERRORS, print_error, print_note, report
from ._pictures import STDIN, read_picture, read_pictures
from ._status import Exit
from ._terminal import Terminal
from ._wording import describe_error

_PROMPT = "> "
_QUOTES = '"""'
_COMMANDS = """\
/image FILE    add a picture to the next message
/system TEXT   say how the model should answer, from now on
/forget        begin a new conversation
/help          show these lines
/bye           leave, as Ctrl+D does
A text of several lines stands between \"\"\" and \"\"\". Ctrl+C stops an answer."""


class Conversation:
    """The messages of a conversation, and how the next one is answered.

    Args:
        arguments: of the command line.
        client: sends the requests.
        out: shows the answers.
    """

    def __init__(self, arguments: argparse.Namespace, client: Client, out: Terminal) -> None:
        self._arguments = arguments
        self._client = client
        self._out = out
        self._messages: list[ChatMessage] = []
        self.system: str | None = arguments.system
        self.pictures: list[EncodedImage] = []

    def forget(self) -> None:
        """Begin anew, with the same instructions."""
        self._messages.clear()
        self.pictures.clear()

    def request(self, text: str) -> ChatRequest:
        """Return the request for the next message. Raises ValueError for a text that is none."""
        if not text.strip():
            raise UsageError("a message should not be blank")
        before = [ChatMessage("system", self.system)] if self.system else []
        content: str | tuple[EncodedImage | str, ...] = text
        if self.pictures:
            content = *self.pictures, text
        return ChatRequest(
            messages=[*before, *self._messages, ChatMessage("user", content)],
            reasoning=self._arguments.reasoning,
            settings=settings_of(self._arguments),
        )

    def say(self, text: str) -> Exit:
        """Send a message, with the pictures that wait for it, and show the answer as it arrives.

        Raises UsageError or ValueError for a text that cannot be sent, and KeyboardInterrupt after
        the answer was kept as far as it came.
        """
        request = self.request(text)
        output = make_output(self._arguments, self._out)
        answer = ""
        try:
            if self._arguments.no_stream:
                result = self._client.send(request)
                output.event(Completed(result))
                answer = result.text
            else:
                with self._client.stream(request) as stream:
                    for event in stream:
                        if isinstance(event, TextDelta):
                            answer += event.text
                        output.event(event)
                    answer = stream.result().text
        except NoRecording as error:
            print_error(describe_error(error))
            return Exit.USAGE
        except ERRORS as error:
            output.fault(error)
            return report(error)
        except KeyboardInterrupt:
            output.fault(None)
            self._keep(request, answer)
            raise
        self._keep(request, answer)
        return Exit.OK

    def _keep(self, request: ChatRequest, answer: str) -> None:
        if answer:
            *_, asked = request.messages
            assert isinstance(asked, ChatMessage)
            self._messages += [asked, ChatMessage("assistant", answer)]
            self.pictures.clear()


def run_chat(arguments: argparse.Namespace, environment: Mapping[str, str], out: Terminal) -> Exit:
    """Talk. Returns how it ended. Raises UsageError before anything is sent."""
    given: list[str] = [*arguments.messages, *arguments.more]
    if not given and not (sys.stdin.isatty() and out.is_terminal):
        given = [STDIN]
    if given.count(STDIN) + arguments.images.count(STDIN) > 1:
        raise UsageError("- is standard input, which can be read once: give it once")
    conversation = Conversation(arguments, make_client(arguments, environment), out)
    try:
        pictures = read_pictures(arguments.images, arguments.max_side)
        conversation.pictures = [picture.encoded for picture in pictures]
        texts = [_stdin() if text == STDIN else text for text in given]
        for text in texts:
            conversation.request(text)  # all of them are checked before one is sent
    except (ValueError, OSError) as error:
        raise UsageError(describe_error(error)) from error
    if texts:
        return _send(conversation, texts, out, is_text=not arguments.json)
    _talk(conversation, arguments, out)
    return Exit.OK


def _send(conversation: Conversation, texts: list[str], out: Terminal, *, is_text: bool) -> Exit:
    """Send messages. The first failure ends the conversation."""
    for text in texts:
        if len(texts) > 1 and is_text:
            out.heading(text)
        if status := conversation.say(text):
            return status
    return Exit.OK


def _talk(conversation: Conversation, arguments: argparse.Namespace, out: Terminal) -> None:
    """Ask the user for one message after the other."""
    with suppress(ImportError):
        import_module("readline")  # with it, input() can edit a line, and knows those before

    out.line("/help shows the commands; Ctrl+D leaves.")
    for text in _typed(out):
        try:
            if text.startswith("/"):
                if not _command(conversation, text, arguments.max_side):
                    return
            else:
                conversation.say(text)
        except (UsageError, ValueError, OSError) as error:
            print_error(describe_error(error))
        except KeyboardInterrupt:
            print_note("interrupted")


def _typed(out: Terminal) -> Iterator[str]:
    """Yield what the user types, without blank lines, until Ctrl+D."""
    while True:
        try:
            text = input(_PROMPT)
            if text.startswith(_QUOTES):
                lines = [text.removeprefix(_QUOTES)]
                while not lines[-1].endswith(_QUOTES) or text == _QUOTES == lines[-1]:
                    lines.append(input("  "))
                text = "\n".join(lines).removesuffix(_QUOTES)
        except EOFError:
            out.line()
            return
        except KeyboardInterrupt:
            out.line()
            out.line("Ctrl+D leaves.")
            continue
        if text.strip():
            yield text


def _command(conversation: Conversation, text: str, max_side: int | None) -> bool:
    """Carry out a command. Returns False for the one that leaves. Raises UsageError, ValueError."""
    name, _, rest = text.partition(" ")
    rest = rest.strip()
    match name:
        case "/bye" | "/exit" | "/quit":
            return False
        case "/help" | "/?":
            print_note(_COMMANDS)
        case "/forget":
            conversation.forget()
        case "/system":
            conversation.system = rest or None
        case "/image" if rest:
            conversation.pictures.append(read_picture(rest.strip("'\""), max_side).encoded)
        case _:
            raise UsageError(
                f"{name} is no command, or lacks something: /help shows them. For a message that "
                "begins with /, begin it with a space"
            )
    return True


def _stdin() -> str:
    """Read a message from standard input. Raises UsageError for what is no text."""
    try:
        return sys.stdin.read().strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"standard input is not text in {error.encoding}") from error
    except OSError as error:
        raise UsageError(f"standard input: {(error.strerror or str(error)).lower()}") from error

"""Chats as prompts: lists of messages {"role": …, "content": …}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minilm.errors import InvalidInput, WrongType


def messages_of(given: Any) -> list[Any]:
    """Return the messages of a chat, checked.

    given: a list of dicts, or something with one as its messages

    Raises WrongType or InvalidInput for what is no chat.
    """
    given = getattr(given, "messages", given)
    if not isinstance(given, list | tuple):
        raise WrongType(
            f"A {type(given).__name__} was given; a prompt is a text, or a list of messages "
            "{'role': …, 'content': …}."
        )
    if not given:
        raise InvalidInput("The chat is empty. Give at least one message.")
    for i, message in enumerate(given):
        if not isinstance(message, Mapping):
            raise WrongType(
                f"Message {i} of the chat is {message!r}; expected a dict with 'role' and "
                "'content'. Several texts are given as one list of texts."
            )
        missing = [name for name in ("role", "content") if name not in message]
        if missing:
            raise InvalidInput(
                f"Message {i} of the chat has no '{missing[0]}'. A message has 'role' and 'content'."
            )
    return list(given)


def goes_on(messages: list[Any], asked: bool | None = None) -> bool:
    """Say whether the last message is to be written on, and no new one begun.

    messages: of a chat    asked: whether it was asked for; None = if it is the assistant's
    """
    return messages[-1]["role"] == "assistant" if asked is None else bool(asked)


def check_text(message: Mapping[str, Any]) -> None:
    """Refuse a message that cannot be written on, since its content is no text.

    message: the last of a chat    Raises WrongType.
    """
    if not isinstance(message["content"], str):
        raise WrongType(
            f"The last message of the chat is to be written on, and its content is of the type "
            f"{type(message['content']).__name__}. Give it as a text, or continue_final_message="
            "False for a new message."
        )


def with_prompt(given: Any, text: str, asked: bool | None = None) -> Any:
    """Put a prompt and what was written behind it together.

    given: a text, or messages    text: what was written    asked: as for `goes_on`

    Returns a text; or the messages, the last one longer or one more.
    """
    if isinstance(given, str):
        return given + text
    if goes_on(given, asked):
        last = {"role": given[-1]["role"], "content": given[-1]["content"] + text}
        return [*given[:-1], last]
    return [*given, {"role": "assistant", "content": text}]

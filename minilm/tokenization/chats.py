"""Conversations: checked, rendered with the chat template, their spans found in the tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput, WrongType
from minilm.tokenization import chat_templates
from minilm.tokenization.call_options import kind_of
from minilm.tokenization.chat_tools import tool_schema

if TYPE_CHECKING:
    from minilm.tokenization.batch_encoding import BatchEncoding
    from minilm.tokenization.encoding import Encoding


class ChatMethods:
    """What a tokenizer does with conversations.

    chat_template: jinja2 source, or name → source; None = the model was not trained on chats
    """

    chat_template: str | dict[str, str] | None
    special_tokens_map: dict[str, str]
    __call__: Callable[..., BatchEncoding]

    def get_chat_template(
        self, chat_template: str | None = None, tools: Sequence[Any] | None = None
    ) -> str:
        """Find the chat template to use.

        chat_template: the source of one, or the name of one of the tokenizer's own; None = the
            tokenizer's default
        tools: with tools given, a template named "tool_use" comes before the default

        Raises `InvalidInput` when there is none.
        """
        own = self.chat_template
        if isinstance(own, dict):
            if chat_template is not None:
                return own.get(chat_template, chat_template)
            if tools is not None and "tool_use" in own:
                return own["tool_use"]
            if "default" in own:
                return own["default"]
            raise InvalidInput(
                "This tokenizer has several chat templates and none is the default. Pass "
                f"chat_template= one of {sorted(own)}."
            )
        chosen = chat_template if chat_template is not None else own
        if chosen is None:
            raise InvalidInput(
                "This tokenizer has no chat template, as most models that were not trained on "
                "chats have none. Pass chat_template=…, or set tokenizer.chat_template, to the one "
                "the model was trained with."
            )
        return chosen

    def apply_chat_template(
        self,
        conversation: Any,
        tools: Sequence[dict[str, Any] | Callable[..., Any]] | None = None,
        documents: Sequence[dict[str, str]] | None = None,
        chat_template: str | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool | str = False,
        tokenize: bool = True,
        sanitize_control_tokens: bool = False,
        padding: bool | str = False,
        truncation: bool | str = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
        return_dict: bool = True,
        return_assistant_tokens_mask: bool = False,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Write a conversation the way the model was trained to see it, and tokenize it.

        conversation: messages {"role": …, "content": …}, or a batch: a list of conversations
        tools: JSON schemas of functions the model may call, or documented Python functions
        documents: {"title": …, "text": …} each, for templates that quote them
        chat_template: source or name of a template, instead of the tokenizer's own
        add_generation_prompt: end with the opening of the assistant's next message
        continue_final_message: leave the last message open, for the model to go on with it; a
            string names the field to continue, True is "content"
        tokenize: False returns the text
        sanitize_control_tokens: not supported, and refused
        padding, truncation, max_length, return_tensors, tokenizer_kwargs: as for a call
        return_dict: True returns a BatchEncoding, False the ids alone
        return_assistant_tokens_mask: add the column "assistant_masks", 1 for what stands in the
            template's {% generation %} blocks
        kwargs: further variables for the template

        The text is tokenized with add_special_tokens=False, since the template writes BOS and the
        other special tokens itself.
        Raises `InvalidInput` with the template's own words when it refuses or fails.
        Equals transformers' `apply_chat_template`, but for one thing: where a {% generation %}
        block ends in a character of several tokens, the mask has all of them, not the first alone.
        """
        request = ChatRequest(
            template=self.get_chat_template(chat_template, tools),
            tools=tools,
            documents=documents,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=continue_final_message,
            with_spans=return_assistant_tokens_mask,
            variables={**self.special_tokens_map, **kwargs},
        )
        if sanitize_control_tokens:
            raise InvalidInput(
                "sanitize_control_tokens is not supported. Refuse messages that contain the "
                "tokenizer's all_special_tokens before they reach the template."
            )
        if return_assistant_tokens_mask and not (tokenize and return_dict):
            raise InvalidInput(
                "return_assistant_tokens_mask needs tokenize=True and return_dict=True."
            )
        texts, spans, batched = request.render(conversation)
        if not tokenize:
            return texts if batched else texts[0]
        batch = self(
            texts if batched else texts[0],
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            add_special_tokens=False,
            return_tensors=return_tensors,
            tokenizer_kwargs=tokenizer_kwargs,
        )
        if not return_dict:
            return batch["input_ids"]
        if return_assistant_tokens_mask:
            masks = [mask_of_spans(batch[i], spans[i]) for i in range(len(texts))]
            batch["assistant_masks"] = masks if batched or return_tensors else masks[0]
            batch.convert_to_tensors(return_tensors)
        return batch


# What the template gets from the request itself; no variable of the caller may be called so.
_RESERVED = ("messages", "tools", "documents", "add_generation_prompt")


@dataclass
class ChatRequest:
    """What to do with a conversation.

    template: the source of the chat template
    tools, documents, add_generation_prompt, continue_final_message: as for `apply_chat_template`
    with_spans: note which characters the assistant wrote
    variables: what else the template may read
    """

    template: str
    tools: Sequence[Any] | None = None
    documents: Sequence[Any] | None = None
    add_generation_prompt: bool = False
    continue_final_message: bool | str = False
    with_spans: bool = False
    variables: dict[str, Any] = field(default_factory=dict)

    def render(self, conversation: Any) -> tuple[list[str], list[list[tuple[int, int]]], bool]:
        """Render one conversation or a batch of them.

        conversation: messages, or a list of conversations

        Returns the texts, the spans of {% generation %} blocks in each, and whether it was a batch.
        """
        self._check()
        chats, batched = read_conversations(conversation)
        tools = None if self.tools is None else [tool_schema(tool) for tool in self.tools]
        variables = {
            "tools": chat_templates.plain_data(tools),
            "documents": chat_templates.plain_data(self.documents),
            **chat_templates.plain_data(self.variables),
        }
        texts, all_spans = [], []
        for chat in chats:
            text, spans = self._render_one(chat_templates.with_reasoning_names(chat), variables)
            texts.append(text)
            all_spans.append(spans)
        return texts, all_spans, batched

    def _check(self) -> None:
        if not isinstance(self.template, str):
            raise WrongType(
                f"A chat template is jinja2 source text, and not {kind_of(self.template)}."
            )
        if self.continue_final_message and self.add_generation_prompt:
            raise InvalidInput(
                "continue_final_message leaves the last message open, and add_generation_prompt "
                "opens a new one. Choose one."
            )
        if self.continue_final_message and self.with_spans:
            raise InvalidInput(
                "continue_final_message does not go with return_assistant_tokens_mask."
            )
        for document in self.documents or ():
            if not isinstance(document, Mapping):
                raise WrongType(
                    "documents is a list of dicts with 'title' and 'text', and it holds "
                    f"{document!r}."
                )
        for name in _RESERVED:
            if name in self.variables:
                raise InvalidInput(
                    f"'{name}' is no name for a template variable: it is an argument already."
                )

    def _render_one(
        self, chat: list[dict[str, Any]], variables: dict[str, Any]
    ) -> tuple[str, list[tuple[int, int]]]:
        final = ""
        if self.continue_final_message:
            name = self.continue_final_message
            name = name if isinstance(name, str) else "content"
            chat, final = chat_templates.mark_final_message(chat, self.template, name)
        arguments = (self.template, chat, self.add_generation_prompt)
        if self.with_spans:
            return chat_templates.render_chat_with_spans(*arguments, **variables)
        text = chat_templates.render_chat(*arguments, **variables)
        if self.continue_final_message:
            text = chat_templates.cut_at_mark(text, final)
        return text, []


def read_conversations(conversation: Any) -> tuple[list[list[dict[str, Any]]], bool]:
    """Check that something is a conversation, or a batch of them, and copy it as plain data.

    conversation: messages, or a list of conversations

    Returns the conversations, without fields that are None, and whether it was a batch. (Other
    libraries write "content": None where there is none, and templates would print it.)
    """
    if not isinstance(conversation, (list, tuple)):
        hint = " Put it in a list." if isinstance(conversation, Mapping) else ""
        raise WrongType(
            "A conversation is a list of messages {'role': …, 'content': …}, and this is "
            f"{kind_of(conversation)}.{hint}"
        )
    if not conversation:
        raise InvalidInput("The conversation is empty. Give at least one message.")
    first = conversation[0]
    batched = isinstance(first, (list, tuple)) or hasattr(first, "messages")
    chats = conversation if batched else [conversation]
    checked = []
    for i, chat in enumerate(chats):
        where = f"conversation {i}, " if batched else ""
        messages = chat_templates.plain_data(getattr(chat, "messages", chat))
        if not isinstance(messages, (list, tuple)):
            raise WrongType(
                f"{where or 'It '}is {kind_of(chat)}, and a list of messages was expected."
            )
        for j, message in enumerate(messages):
            if not isinstance(message, dict):
                raise WrongType(
                    f"{where}message {j} is {message!r}, and a dict with 'role' and 'content' was "
                    "expected."
                )
        checked.append(
            [
                {name: value for name, value in message.items() if value is not None}
                for message in messages
            ]
        )
    return checked, batched


def mask_of_spans(encoding: Encoding, spans: Sequence[tuple[int, int]]) -> list[int]:
    """Mark the tokens that cover given stretches of the text.

    encoding: the tokens of a rendered conversation, padding included
    spans: (start, end) in characters

    Returns 1 for each token inside a span, 0 for the others.
    """
    mask = [0] * len(encoding.ids)
    offsets = [
        (token, start, end)
        for token, ((start, end), sequence) in enumerate(
            zip(encoding.offsets, encoding.sequence_ids, strict=True)
        )
        if sequence is not None and start < end
    ]
    for span_start, span_end in spans:
        inside = [token for token, start, end in offsets if start < span_end and end > span_start]
        if inside:
            mask[inside[0] : inside[-1] + 1] = [1] * (inside[-1] + 1 - inside[0])
    return mask

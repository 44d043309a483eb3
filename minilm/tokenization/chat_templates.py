"""Chat templates: from a list of messages to the one string a model was trained to see.

A template is a program written by strangers (it comes with the model's files), so it runs in
jinja2's sandbox: it may look at the messages and build text, and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from minilm.errors import InvalidInput, WrongType

Message = dict[str, Any]

# Stands at the end of the message to be continued while the template runs; the text is cut there.
_CUT_HERE = "CUT_THE_RENDERED_CHAT_HERE "
# One thing under three names: the standard one, and the older ones templates may still read.
_REASONING_FIELDS = ("reasoning_content", "thinking", "reasoning")


def render_chat(
    template: str,
    messages: Sequence[Message],
    add_generation_prompt: bool = False,
    **variables: Any,
) -> str:
    """Run a chat template over a conversation.

    template: jinja2 source, as in tokenizer_config.json or chat_template.jinja
    messages: one conversation: {"role": …, "content": …} each
    add_generation_prompt: ask the template to end with the opening of the assistant's next message
    variables: what else the template may read: tools, documents, bos_token, …

    Returns the text. Tokenise it with `add_special_tokens=False`: the template has written the
    special tokens, and a second BOS would be one the model never saw.
    Raises `InvalidInput` with the template's own words when it refuses or fails.
    Equals transformers' `apply_chat_template(…, tokenize=False)`.
    """
    with template_errors(template):
        compiled = compile_template(template)
        return compiled.render(
            messages=messages, add_generation_prompt=add_generation_prompt, **variables
        )


@lru_cache(maxsize=1)
def template_environment() -> ImmutableSandboxedEnvironment:
    """Make the sandbox that chat templates are written for: whitespace rules, extra functions.

    Equals the environment of transformers' chat templates.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,  # a block's own line leaves no empty line behind
        lstrip_blocks=True,  # nor its indentation
        extensions=[GenerationSpans, jinja2.ext.loopcontrols],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    # Stand-ins for the bare types, which would hand the template their insides.
    environment.globals["dict"] = _DictMaker()
    environment.globals["namespace"] = _Namespace
    return environment


@lru_cache(maxsize=64)
def compile_template(template: str) -> jinja2.Template:
    """Compile a chat template once for all the conversations it will render.

    template: jinja2 source
    """
    return template_environment().from_string(template)


@contextmanager
def template_errors(template: str) -> Iterator[None]:
    """Turn whatever goes wrong inside a template into one `InvalidInput` that repeats its words.

    template: the source, to tell a template that refuses from one that is broken
    """
    try:
        yield
    except jinja2.TemplateSyntaxError as error:
        raise InvalidInput(
            f"The chat template is not valid jinja2: {_words(error)} (line {error.lineno}). "
            "Correct the template, or pass another one as chat_template."
        ) from error
    except _Refusal as error:
        raise InvalidInput(
            f"The chat template refuses this conversation: {_words(error)}. "
            "Change the messages, or pass another template as chat_template."
        ) from error
    except jinja2.exceptions.SecurityError as error:
        raise InvalidInput(
            f"The chat template tried something the sandbox does not allow: {_words(error)}. "
            "Do not use a template you have not read."
        ) from error
    except RecursionError as error:
        raise InvalidInput(
            "The chat template calls itself without end. Correct the template."
        ) from error
    except Exception as error:
        # Any error at all can come out of a template: {{ 1/0 }} is a valid one.
        raise InvalidInput(
            f"The chat template failed on this conversation: {type(error).__name__}: "
            f"{_words(error)}. Check that the messages have the fields the template reads, usually "
            "'role' and 'content'."
        ) from error


class GenerationSpans(jinja2.ext.Extension):
    """The block {% generation %} … {% endgeneration %}: marks what the assistant wrote.

    While `recording` is on, the (start, end) of each block in the rendered text is noted, in
    characters. Training uses it to learn from the assistant's words alone.
    """

    tags = {"generation"}  # noqa: RUF012 (as the base class has it)

    def __init__(self, environment: jinja2.Environment) -> None:
        super().__init__(environment)
        self._rendered: list[str] | None = None
        self._spans: list[tuple[int, int]] = []
        environment.extend(recording=self.recording)

    def parse(self, parser: Any) -> Any:
        """Read the block: its body becomes the caller of `_mark`."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Any) -> str:
        text = caller()
        if self._rendered is not None:
            # Templates render piece by piece: all that stands before is there already.
            start = sum(map(len, self._rendered))
            self._spans.append((start, start + len(text)))
        return text

    @contextmanager
    def recording(self) -> Iterator[tuple[list[str], list[tuple[int, int]]]]:
        """Note the spans of generation blocks; each rendered piece goes to the first list."""
        self._rendered, self._spans = [], []
        try:
            yield self._rendered, self._spans
        finally:
            self._rendered = None


def render_chat_with_spans(
    template: str,
    messages: Sequence[Message],
    add_generation_prompt: bool = False,
    **variables: Any,
) -> tuple[str, list[tuple[int, int]]]:
    """Run a chat template and note which characters the assistant wrote.

    template, messages, add_generation_prompt, variables: as for `render_chat`

    Returns the text and the (start, end) of every {% generation %} block in it, in characters.
    Raises `InvalidInput` when the template has no such block.
    """
    if not re.search(r"\{%-?\s*generation\s*-?%\}", template):
        raise InvalidInput(
            "return_assistant_tokens_mask needs a template that marks the assistant's words with "
            "{% generation %} … {% endgeneration %}, and this one has no such block. "
            "Add it around the assistant's content, or leave the mask out."
        )
    with template_errors(template):
        compiled = compile_template(template)
        with template_environment().recording() as (rendered, spans):  # type: ignore[attr-defined]
            for piece in compiled.generate(
                messages=messages, add_generation_prompt=add_generation_prompt, **variables
            ):
                rendered.append(piece)
            return "".join(rendered), list(spans)


def mark_final_message(
    messages: list[Message], template: str, field: str
) -> tuple[list[Message], str]:
    """Put a mark at the end of the last message, so that the rendered text can be cut there.

    messages: one conversation of plain data, left as it is
    template: the template's source, to refuse a field it never reads
    field: the field of the last message to continue, usually "content"

    Returns the conversation with the mark, and the last message's text.
    """
    if not messages:
        raise InvalidInput(
            "continue_final_message is set and the conversation is empty. Give it a message to "
            "continue."
        )
    final = dict(messages[-1])
    value = final.get(field)
    if value is None:
        raise InvalidInput(
            f"continue_final_message is set and the last message has no '{field}' to continue; it "
            f"has {sorted(final)}. Give the last message some '{field}', or name another field."
        )
    names = [field]
    if field in _REASONING_FIELDS:
        names = [name for name in _REASONING_FIELDS if final.get(name) == value]
    if not any(name in template for name in names):
        raise InvalidInput(
            f"continue_final_message names the field '{field}', which the chat template never "
            "reads. Name a field that the template writes out."
        )
    if isinstance(value, (list, tuple)):
        blocks = [dict(block) if isinstance(block, Mapping) else block for block in value]
        text_blocks = [block for block in blocks if isinstance(block, dict) and "text" in block]
        if not text_blocks:
            raise InvalidInput(
                "continue_final_message is set and the last message holds no text block to "
                "continue. "
                'Add {"type": "text", "text": …} to its content.'
            )
        text = text_blocks[-1]["text"]
        text_blocks[-1]["text"] = text + _CUT_HERE
        final[field] = blocks
    elif isinstance(value, str):
        text = value
        for name in names:
            final[name] = value + _CUT_HERE
    else:
        raise WrongType(
            f"continue_final_message continues text, and the last message's '{field}' is "
            f"{type(value).__name__}. Give a string or a list of content blocks."
        )
    return [*messages[:-1], final], text


def cut_at_mark(rendered: str, final_text: str) -> str:
    """Cut a rendered chat at the mark that `mark_final_message` left.

    rendered: the rendered text, mark included
    final_text: the last message's text
    """
    if final_text.strip() not in rendered or _CUT_HERE.strip() not in rendered:
        raise InvalidInput(
            "continue_final_message is set and the chat template does not write the last message "
            f"out, so there is nothing to continue. The message: {final_text.strip()!r}. "
            "Use a template that keeps it, or leave continue_final_message out."
        )
    cut = rendered.rindex(_CUT_HERE.strip())
    kept = rendered[:cut]
    # A template that trims took our trailing space away, so it takes the message's, too.
    return kept if rendered.startswith(_CUT_HERE, cut) else kept.rstrip()


def with_reasoning_names(messages: Sequence[Message]) -> list[Message]:
    """Let templates find a message's reasoning under both names they look for.

    messages: one conversation
    """
    renamed = []
    for message in messages:
        reasoning = next(
            (message[name] for name in _REASONING_FIELDS if message.get(name) is not None), None
        )
        if reasoning is not None:
            message = {"thinking": reasoning, **message, "reasoning_content": reasoning}
        renamed.append(message)
    return renamed


def plain_data(value: Any) -> Any:
    """Copy what a template may see as plain dicts, lists, strings and numbers.

    value: messages, tools, documents or variables

    An object's methods could do what the sandbox forbids, so none reaches the template: dataclasses
    and pydantic models become dicts, numpy numbers Python's, anything else a name like "<Image>".
    """
    if value is None or type(value) in (str, int, float, bool):
        return value
    # Of a subclass, such as an enum's member, the plain value alone.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Mapping):
        return {plain_data(key): plain_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return (
            type(value)(map(plain_data, value))
            if type(value) in (list, tuple)
            else [*map(plain_data, value)]
        )
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return plain_data(value.item())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_data(getattr(value, field.name)) for field in fields(value)}
    if callable(getattr(value, "model_dump", None)):
        return plain_data(value.model_dump())
    return f"<{type(value).__name__}>"


def _words(error: Exception) -> str:
    """What an error says, without a full stop, since a sentence is made of it."""
    return (getattr(error, "message", None) or str(error)).rstrip(". ")


class _Refusal(jinja2.TemplateError):
    """What a template's own raise_exception raises."""


def _raise_exception(message: str) -> NoReturn:
    raise _Refusal(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # jinja2's own tojson escapes < and > for web pages, and models were never shown that.
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


class _DictMaker:
    """`dict(…)` for templates, without the type's attributes."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _Namespace(jinja2.utils.Namespace):
    """`namespace(…)` for templates, closed to names with a leading underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # so that a template may pass self=
        self, given = args[0], dict(*args[1:], **kwargs)
        for name in given:
            _Namespace._check_name(name)
        jinja2.utils.Namespace.__init__(self, given)

    def __setitem__(self, name: str, value: Any) -> None:
        _Namespace._check_name(name)
        super().__setitem__(name, value)

    @staticmethod
    def _check_name(name: Any) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(
                f"a namespace cannot hold a name with a leading underscore, such as '{name}'"
            )

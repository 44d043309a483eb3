"""Mistakes in rendering a chat template."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from minilm.check.exercise import Case, Exercise, Mistake, Raises
from minilm.errors import InvalidInput

LESSON = "02_tokenizers"


ONE_LINE = (
    "{% for message in messages %}{{ message.role }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
INDENTED = """{% for message in messages %}
    {% if message.role == 'user' %}
<u>{{ message.content }}
    {% endif %}
{% endfor %}
"""
UNINDENTED = """{% for message in messages %}
{{ message.content }}
{% endfor %}
"""


def render_chat_cases(draw: random.Random) -> list[Case]:
    """One template per thing that can go wrong, then mixtures."""
    hello = [{"role": "user", "content": "Hi"}]
    tags = [{"role": "user", "content": "a<b & 'c'"}]
    cases = [
        _chat("{{ messages[0].content }}", hello),
        _chat("{{ messages[0].content }}", tags),
        _chat("{{ messages[0].content }}\n", hello),
        _chat(" {{ messages[0].content }} ", hello),
        _chat("{{ bos_token }}{{ messages[0].content }}", hello, bos_token="<s>"),
        _chat("{{ messages[0].content }}{{ end }}", hello, add_generation_prompt=True, end="!"),
        _chat("{{ add_generation_prompt }}", hello),
        _chat("{{ add_generation_prompt }}", hello, add_generation_prompt=True),
        _chat("{{ messages[0].content | tojson }}", tags),
        _chat("{% if messages.__class__ is defined %}open{% else %}shut{% endif %}", hello),
        _chat("{% if messages.append is defined %}open{% else %}shut{% endif %}", hello),
        _chat("{% if raise_exception is defined %}can{% else %}cannot{% endif %} refuse", hello),
        _chat(UNINDENTED, hello),
        _chat(INDENTED, hello),
        _chat("{{ raise_exception('no') }}", hello),
        _chat("{% if %}", hello),
        _chat("{{ 1 / 0 }}", hello),
        _chat("{% generation %}{{ messages[0].content }}{% endgeneration %}", hello),
        _chat("{% for m in messages %}{{ m.content }}{% break %}{% endfor %}", hello * 2),
    ]
    words = ["Hi", "2 < 3 & 4", "  spaced ", "two\nlines", "é🙂", "{{ 1 }}", ""]
    for _ in range(12):
        messages = [
            {"role": role, "content": draw.choice(words)}
            for role in ["system", "user", "assistant", "user"][draw.randint(0, 1) :]
        ]
        cases.append(
            _chat(
                draw.choice([ONE_LINE, INDENTED, UNINDENTED, "{{ bos_token }}" + ONE_LINE]),
                messages[: draw.randint(1, 3)],
                add_generation_prompt=draw.random() < 0.5,
                bos_token="<s>",
            )
        )
    return cases


def _chat(template: str, messages: list[dict[str, str]], **others: Any) -> Case:
    return {"template": template, "messages": messages, **others}


def render_chat_reference(template: str, messages: list[dict[str, str]], **others: Any) -> Any:
    """Ask transformers to render the template."""
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        (text,), _ = render_jinja_template([messages], chat_template=template, **others)
    except ImportError:
        raise
    except Exception:  # jinja2's own errors, and whatever else a template brings about
        return Raises(InvalidInput, ValueError)
    return text


def _given_environment() -> Any:
    """minilm's environment; the catalogue itself imports no jinja2."""
    from minilm.tokenization.chat_templates import template_environment

    return template_environment()


def _own_environment(kind: str, **settings: Any) -> Any:
    """An environment that a reader makes by hand, without the functions that templates call."""
    import jinja2.sandbox

    make = jinja2.Environment if kind == "Environment" else getattr(jinja2.sandbox, kind)
    return make(**settings)


def _rendered_by(environment: Callable[[], Any]) -> Callable[..., str]:
    """A right answer but for the environment."""
    made = cache(environment)
    compiled = cache(lambda template: made().from_string(template))

    def render_chat(template, messages, add_generation_prompt=False, **variables):
        with _one_error():
            return compiled(template).render(
                messages=messages, add_generation_prompt=add_generation_prompt, **variables
            )

    return render_chat


@contextmanager
def _one_error() -> Iterator[None]:
    """What template_errors does, in short."""
    try:
        yield
    except Exception as error:
        raise InvalidInput(f"The chat template failed: {error}") from error


def _lets_errors_through(template, messages, add_generation_prompt=False, **variables):
    return (
        _given_environment()
        .from_string(template)
        .render(messages=messages, add_generation_prompt=add_generation_prompt, **variables)
    )


def _compiles_outside(template, messages, add_generation_prompt=False, **variables):
    compiled = _given_environment().from_string(template)
    with _one_error():
        return compiled.render(
            messages=messages, add_generation_prompt=add_generation_prompt, **variables
        )


_correct_chat = _rendered_by(_given_environment)
_TRIMMED = {"trim_blocks": True, "lstrip_blocks": True}


def _forgets_the_prompt(template, messages, add_generation_prompt=False, **variables):
    from minilm.tokenization.chat_templates import compile_template

    with _one_error():
        return compile_template(template).render(messages=messages, **variables)


def _forgets_the_variables(template, messages, add_generation_prompt=False, **variables):
    return _correct_chat(template, messages, add_generation_prompt)


def _always_prompts(template, messages, add_generation_prompt=False, **variables):
    return _correct_chat(template, messages, True, **variables)


def _strips_the_text(template, messages, add_generation_prompt=False, **variables):
    return _correct_chat(template, messages, add_generation_prompt, **variables).strip()


def _last_message_only(template, messages, add_generation_prompt=False, **variables):
    return _correct_chat(template, messages[-1:], add_generation_prompt, **variables)


def _writes_the_chat_itself(template, messages, add_generation_prompt=False, **variables):
    text = "".join(
        f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages
    )
    return text + "<|im_start|>assistant\n" * add_generation_prompt


def _swallows_errors(template, messages, add_generation_prompt=False, **variables):
    try:
        return _correct_chat(template, messages, add_generation_prompt, **variables)
    except Exception:
        return ""


def _render_with_one_dict(template, messages, add_generation_prompt=False, **variables):
    from minilm.tokenization.chat_templates import compile_template

    variables |= {"messages": messages, "add_generation_prompt": add_generation_prompt}
    try:
        return compile_template(template).render(variables)
    except Exception as error:
        raise ValueError("this template cannot be rendered") from error


def _render_piece_by_piece(template, messages, add_generation_prompt=False, **variables):
    from minilm.tokenization.chat_templates import template_errors

    with template_errors(template):
        compiled = _given_environment().from_string(template)
        return "".join(
            compiled.generate(
                messages=messages, add_generation_prompt=add_generation_prompt, **variables
            )
        )


render_chat = Exercise(
    answer="minilm.tokenization.chat_templates:render_chat",
    lesson=LESSON,
    cases=render_chat_cases,
    reference=render_chat_reference,
    reference_name="transformers' apply_chat_template",
    mistakes=[
        Mistake(
            "forgets add_generation_prompt",
            _forgets_the_prompt,
            "Your code never tells the template add_generation_prompt. The text then ends with the "
            "user's turn, and the model may go on speaking as the user.",
        ),
        Mistake(
            "always asks for an answer",
            _always_prompts,
            "Your code sets add_generation_prompt whatever the caller said. In training the "
            "answers are there already, and an empty one would follow each chat.",
        ),
        Mistake(
            "forgets the other variables",
            _forgets_the_variables,
            "Your code hands over the messages and drops bos_token, tools and the rest. A name that "
            "a template does not know is printed as nothing, so the BOS is missing and no error "
            "says so.",
        ),
        Mistake(
            "runs without a sandbox",
            _rendered_by(lambda: _own_environment("Environment", **_TRIMMED)),
            "Your code renders in jinja2's open environment. A template comes with the model's "
            "files, from strangers, and in an open environment it can reach __class__ and from "
            "there any code on your machine. compile_template() closes it in.",
        ),
        Mistake(
            "renders with jinja2.Template",
            _rendered_by(lambda: _own_environment("Environment")),
            "Your code uses jinja2.Template: no sandbox, so a stranger's template can run code, "
            "and other rules for line breaks than the ones chats were written with. Use "
            "compile_template().",
        ),
        Mistake(
            "lets templates change the messages",
            _rendered_by(lambda: _own_environment("SandboxedEnvironment", **_TRIMMED)),
            "Your code uses the sandbox that lets a template append to your messages. Rendering "
            "must leave them as they are: the immutable sandbox, as in compile_template().",
        ),
        Mistake(
            "makes an environment of its own",
            _rendered_by(lambda: _own_environment("ImmutableSandboxedEnvironment", **_TRIMMED)),
            "Your environment is safe, and lacks what templates call: raise_exception, a tojson "
            "that leaves < as it is, {% break %}, {% generation %}. Use compile_template().",
        ),
        Mistake(
            "the sandbox without its line rules",
            _rendered_by(lambda: _own_environment("ImmutableSandboxedEnvironment")),
            "Your sandbox keeps the line break behind every block and the spaces before it. Chats "
            "get blank lines that the model never saw in training. Use compile_template().",
        ),
        Mistake(
            "keeps the line break behind a block",
            _rendered_by(lambda: _given_environment().overlay(trim_blocks=False)),
            "Without trim_blocks every {% … %} on a line of its own leaves an empty line. The model "
            "was trained on chats without them.",
        ),
        Mistake(
            "keeps the spaces before a block",
            _rendered_by(lambda: _given_environment().overlay(lstrip_blocks=False)),
            "Without lstrip_blocks the indentation of the template's blocks lands in the chat. The "
            "model was trained on chats without it.",
        ),
        Mistake(
            "keeps the template's last line break",
            _rendered_by(lambda: _given_environment().overlay(keep_trailing_newline=True)),
            "Your environment keeps the line break that ends the template file. Most editors add "
            "one; the chats the model saw did not have it.",
        ),
        Mistake(
            "escapes for web pages",
            _rendered_by(lambda: _given_environment().overlay(autoescape=True)),
            "Your environment turns < into &lt; (autoescape). That is for web pages; a model is to "
            "read what the user wrote.",
        ),
        Mistake(
            "strips the text",
            _strips_the_text,
            "Your code strips the result. The line break or space at the end is part of what the "
            "model was trained on, right before its answer begins.",
        ),
        Mistake(
            "renders the last message only",
            _last_message_only,
            "Your code hands over the last message. A model has no memory: the whole conversation "
            "goes into the text, every time.",
        ),
        Mistake(
            "writes one chat form for all",
            _writes_the_chat_itself,
            "Your code writes the ChatML form whatever the template says. Each model was trained on "
            "a form of its own; the template is there to say which.",
        ),
        Mistake(
            "lets jinja2's errors through",
            _lets_errors_through,
            "What goes wrong in a template comes out as jinja2's error, or as any other. Put "
            "`with template_errors(template):` round your lines: one error, InvalidInput, that "
            "repeats the template's words.",
        ),
        Mistake(
            "compiles outside template_errors",
            _compiles_outside,
            "A template that is no valid jinja2 fails when it is compiled, and your "
            "compile_template stands before the `with`. Move it inside.",
        ),
        Mistake(
            "swallows the refusal",
            _swallows_errors,
            "Your code returns an empty text when a template refuses. raise_exception is how a "
            "template says that the conversation makes no sense: raise InvalidInput.",
        ),
    ],
    accepts=[_correct_chat, _render_with_one_dict, _render_piece_by_piece],
)

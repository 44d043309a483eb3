"""Chats are written and tokenized as transformers does it, and a template that fails says why."""

from __future__ import annotations

import dataclasses
import enum
from typing import Literal

import pytest

from minilm.errors import InvalidInput, WrongType
from minilm.tokenization import chat_templates
from minilm.tokenization.chat_tools import tool_schema

CHATML = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

LLAMA2 = """{% if messages[0]['role'] == 'system' %}
    {% set rest = messages[1:] %}
    {% set system = messages[0]['content'] %}
{% else %}
    {% set rest = messages %}
    {% set system = false %}
{% endif %}
{% for message in rest %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('user and assistant must take turns') }}
    {% endif %}
    {% if loop.index0 == 0 and system is not false %}
        {% set content = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + message['content'] %}
    {% else %}
        {% set content = message['content'] %}
    {% endif %}
    {% if message['role'] == 'user' %}
        {{- bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
    {% elif message['role'] == 'assistant' %}
        {{- ' ' + content.strip() + ' ' + eos_token }}
    {% endif %}
{% endfor %}"""

LLAMA3 = """{% set loop_messages = messages %}
{%- for message in loop_messages %}
    {%- set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}
    {%- if loop.index0 == 0 %}
        {%- set content = bos_token + content %}
    {%- endif %}
    {{- content }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}"""

MISTRAL = """{{ bos_token }}{% set ns = namespace(turn=0) %}{% for message in messages %}{% if message.role == 'system' %}{% continue %}{% endif %}{% if message.role == 'user' %}{{ '[INST] ' ~ message.content ~ ' [/INST]' }}{% set ns.turn = ns.turn + 1 %}{% else %}{{ ' ' ~ message.content ~ eos_token }}{% endif %}{% if ns.turn > 7 %}{% break %}{% endif %}{% endfor %}"""

TOOLS = """{% if tools %}
You may call: {{ tools | tojson(indent=2) }}
{% for tool in tools %}
- {{ tool.function.name }}: {{ tool['function']['description'] }}
{% endfor %}
{% endif %}
{% for document in documents or [] %}
[{{ loop.index }}] {{ document.title }}: {{ document.text }}
{% endfor %}
{% for message in messages %}
<|{{ message.role }}|>
{%- if message.tool_calls is defined %}
{% for call in message.tool_calls %}
<call>{{ call.function | tojson }}</call>
{% endfor %}
{% else %}
{{ message.content }}
{% endif %}
{% endfor %}
{% if greeting is defined %}{{ greeting }}{% endif %}
{% if add_generation_prompt %}<|assistant|>{% endif %}"""

GENERATION = """{% for message in messages %}<|{{ message.role }}|>{% if message.role == 'assistant' %}{% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ message.content }}{% endif %}
{% endfor %}"""

TEMPLATES = {
    "chatml": CHATML,
    "llama2": LLAMA2,
    "llama3": LLAMA3,
    "mistral": MISTRAL,
    "tools": TOOLS,
}
CHAT = [
    {"role": "system", "content": "You are <b>helpful</b> & brief."},
    {"role": "user", "content": "  Hello, naïve 日本 🎉! "},
    {"role": "assistant", "content": "Hi.\nHow are you?"},
    {"role": "user", "content": "Fine"},
]
CHATS = [CHAT, CHAT[1:], CHAT[1:2], CHAT[:3], CHAT[1:3]]


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("chat", CHATS, ids=range(len(CHATS)))
@pytest.mark.parametrize("name", TEMPLATES)
def test_text_and_ids_are_the_same(both_tokenizers, name, chat, prompt):
    ours, theirs = both_tokenizers
    template = TEMPLATES[name]
    options = {"chat_template": template, "add_generation_prompt": prompt}
    # BERT has no bos_token or eos_token, and an undefined name cannot be added to text.
    options.update(bos_token="<s>", eos_token="</s>")
    text = theirs.apply_chat_template(chat, tokenize=False, **options)
    assert ours.apply_chat_template(chat, tokenize=False, **options) == text
    expected = theirs.apply_chat_template(chat, **options)
    assert dict(ours.apply_chat_template(chat, **options)) == dict(expected)
    ids = theirs.apply_chat_template(chat, return_dict=False, **options)
    assert ours.apply_chat_template(chat, return_dict=False, **options) == ids


def test_a_batch_of_chats_is_padded_and_truncated_the_same(both_tokenizers):
    ours, theirs = both_tokenizers
    for options in (
        {"padding": True, "return_tensors": "pt"},
        {"padding": "max_length", "max_length": 50, "truncation": True},
        {"return_dict": False},
        {"tokenize": False},
        {"padding": True, "tokenizer_kwargs": {"padding_side": "left", "return_length": True}},
    ):
        options["chat_template"] = CHATML
        expected = theirs.apply_chat_template(CHATS, **options)
        got = ours.apply_chat_template(CHATS, **options)
        if isinstance(expected, list):
            assert got == expected
        else:
            assert {name: _plain(value) for name, value in got.items()} == {
                name: _plain(value) for name, value in expected.items()
            }


def _plain(value):
    return value.tolist() if hasattr(value, "tolist") else value


def get_weather(city: str, days: int = 1, unit: Literal["C", "F"] = "C") -> str:
    """
    Say what the weather will be.

    Args:
        city: The city, with its country
            if there are several
        days: How many days ahead
        unit: The unit (choices: ["C", "F"])

    Returns:
        A sentence
    """
    return ""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


def paint(
    things: list[str], colour: Colour, table: dict[str, float], size: int | None, how: int | str
) -> None:
    """Paint things.

    Args:
        things: What to paint
        colour: In which colour
        table: How much of each
        size: How large
        how: How often or how
    """


SCHEMA = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add <two> numbers",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}


@pytest.mark.parametrize("tools", [[SCHEMA], [get_weather], [get_weather, SCHEMA, paint], [], None])
def test_tools_and_documents_reach_the_template_in_the_same_form(both_tokenizers, tools):
    ours, theirs = both_tokenizers
    chat = [
        {"role": "user", "content": "What is 1+1?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1, "é": "<"}}}],
        },
        {"role": "tool", "content": "2"},
    ]
    options = {
        "tools": tools,
        "documents": [{"title": "Sums", "text": "1+1=2"}],
        "chat_template": TOOLS,
        "tokenize": False,
        "greeting": "Bye",
    }
    assert ours.apply_chat_template(chat, **options) == theirs.apply_chat_template(chat, **options)


@pytest.mark.parametrize("function", [get_weather, paint])
def test_a_documented_function_becomes_the_same_schema(function):
    utils = pytest.importorskip("transformers.utils")
    assert tool_schema(function) == utils.get_json_schema(function)


def test_a_function_that_cannot_be_described_says_what_is_missing():
    def silent(x: int):
        pass

    def bare(x):
        """Do it.

        Args:
            x: A number
        """

    def half(x: int):
        """Do it."""

    for function, words in ((silent, "docstring"), (bare, "type hint"), (half, "describe")):
        with pytest.raises(InvalidInput, match=words):
            tool_schema(function)
    with pytest.raises(WrongType, match="JSON schema"):
        tool_schema("get_weather")


@pytest.mark.parametrize(
    "content", ["Once upon", "Once upon ", "  padded", [{"type": "text", "text": "Once"}]]
)
@pytest.mark.parametrize("name", ["chatml", "llama3", "mistral"])
def test_the_final_message_is_left_open_the_same(llama3, tokenizer_folders, name, content):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(str(tokenizer_folders["llama3"]))
    template = TEMPLATES[name]
    if isinstance(content, list):
        template = template.replace("message['content']", "message['content'][0]['text']")
        template = template.replace("message.content", "message['content'][0]['text']")
        chat = [{"role": "assistant", "content": content}]
    else:
        chat = [*CHAT[1:2], {"role": "assistant", "content": content}]
    options = {"chat_template": template, "continue_final_message": True, "tokenize": False}
    expected = theirs.apply_chat_template(chat, **options)
    assert llama3.apply_chat_template(chat, **options) == expected
    assert expected.rstrip().endswith("Once" if isinstance(content, list) else content.strip())


def test_reasoning_can_be_continued_too(llama3, tokenizer_folders):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(str(tokenizer_folders["llama3"]))
    template = (
        "{% for m in messages %}{% if m.thinking is defined %}<think>{{ m.thinking }}</think>"
        "{% endif %}{{ m.content }}{% endfor %}"
    )
    chat = [{"role": "assistant", "content": "So", "reasoning": "Let me see"}]
    options = {"chat_template": template, "tokenize": False}
    assert llama3.apply_chat_template(chat, **options) == theirs.apply_chat_template(
        chat, **options
    )
    options["continue_final_message"] = "reasoning"
    assert llama3.apply_chat_template(chat, **options) == theirs.apply_chat_template(
        chat, **options
    )


def test_the_assistants_tokens_are_marked_the_same(both_tokenizers):
    ours, theirs = both_tokenizers
    chats = [
        [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "I am fine"}] * 2,
        [{"role": "user", "content": "quick"}],
    ]
    for options in ({"padding": True, "return_tensors": "np"}, {}):
        options.update(chat_template=GENERATION, return_assistant_tokens_mask=True, eos_token="z")
        for chat in (chats, chats[0]):
            expected = theirs.apply_chat_template(chat, **options)
            got = ours.apply_chat_template(chat, **options)
            assert _plain(got["assistant_masks"]) == _plain(expected["assistant_masks"])
            assert _plain(got["input_ids"]) == _plain(expected["input_ids"])


def test_all_tokens_of_a_last_character_are_marked(llama3, tokenizer_folders):
    """One emoji is four byte tokens; transformers marks the first of them alone."""
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(str(tokenizer_folders["llama3"]))
    chat = [{"role": "assistant", "content": "🎉"}]
    template = GENERATION.replace("{{ eos_token }}", "")
    options = {"chat_template": template, "return_assistant_tokens_mask": True}
    tokens = len(llama3("🎉", add_special_tokens=False)["input_ids"])
    assert tokens == 4
    assert sum(llama3.apply_chat_template(chat, **options)["assistant_masks"]) == tokens
    assert sum(theirs.apply_chat_template(chat, **options)["assistant_masks"]) < tokens


def test_the_templates_bos_is_the_only_one(llama3):
    llama3.chat_template = LLAMA3
    ids = llama3.apply_chat_template(CHAT)["input_ids"]
    assert ids.count(llama3.bos_token_id) == 1
    text = llama3.apply_chat_template(CHAT, tokenize=False)
    assert llama3(text)["input_ids"].count(llama3.bos_token_id) == 2


def test_objects_reach_a_template_as_plain_data(bert):
    @dataclasses.dataclass
    class Message:
        role: str
        content: str

    class Secret:
        def __str__(self):
            return "the secret"

    template = "{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}{{ thing }}"
    text = bert.apply_chat_template(
        [Message("user", "hi")], chat_template=template, tokenize=False, thing=Secret()
    )
    assert text == "user=hi;<Secret>"


def test_the_callers_messages_are_left_as_they_were(llama3):
    chat = [{"role": "assistant", "content": "So", "name": None}]
    llama3.apply_chat_template(
        chat, chat_template=CHATML, continue_final_message=True, tokenize=False
    )
    assert chat == [{"role": "assistant", "content": "So", "name": None}]


def test_templates_are_found_by_name(bert):
    bert.chat_template = {"default": "D", "tool_use": "T", "rag": "R"}
    assert bert.get_chat_template() == "D"
    assert bert.get_chat_template(tools=[SCHEMA]) == "T"
    assert bert.get_chat_template("rag") == "R"
    assert bert.get_chat_template("{{ 1 }}") == "{{ 1 }}"
    bert.chat_template = {"a": "A", "b": "B"}
    with pytest.raises(InvalidInput, match=r"none is the default.*\['a', 'b'\]"):
        bert.get_chat_template()


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ raise_exception('user must come first') }}", "refuses.*user must come first"),
        ("{% for %}", r"not valid jinja2.*line 1"),
        ("{{ 1 / 0 }}", "failed.*ZeroDivisionError"),
        ("{{ messages[0].nothing.more }}", "failed.*nothing"),
        ("{{ messages[0].content + nothing }}", "failed.*nothing"),
        ("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", "calls itself"),
    ],
)
def test_a_template_that_fails_is_one_clear_error(bert, template, words):
    with pytest.raises(InvalidInput, match=words):
        bert.apply_chat_template(CHAT, chat_template=template, tokenize=False)
    with pytest.raises(InvalidInput, match=words):
        chat_templates.render_chat(template, CHAT)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update(role='x') }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% set ns = namespace(_x=1) %}",
        "{{ dict.__call__.__globals__ }}",
        "{{ raise_exception.__globals__['json'] }}",
    ],
)
def test_a_template_cannot_leave_the_sandbox(bert, template):
    with pytest.raises(InvalidInput, match="sandbox"):
        bert.apply_chat_template(CHAT, chat_template=template, tokenize=False)


def test_the_time_is_there_for_templates():
    text = chat_templates.render_chat("{{ strftime_now('%Y') }}", CHAT)
    assert len(text) == 4 and text.isdigit()


@pytest.mark.parametrize(
    ("chat", "error", "words"),
    [
        ([], InvalidInput, "empty"),
        ("Hello", WrongType, "list of messages"),
        ({"role": "user", "content": "x"}, WrongType, "Put it in a list"),
        (["Hello"], WrongType, "message 0 is 'Hello'"),
        ([CHAT, ["Hello"]], WrongType, "conversation 1, message 0"),
        (None, WrongType, "None"),
    ],
)
def test_what_is_no_conversation_is_refused(bert, chat, error, words):
    with pytest.raises(error, match=words):
        bert.apply_chat_template(chat, chat_template=CHATML, tokenize=False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"chat_template": None}, "no chat template"),
        ({"continue_final_message": True, "add_generation_prompt": True}, "Choose one"),
        ({"continue_final_message": "mood"}, "no 'mood' to continue"),
        ({"return_assistant_tokens_mask": True}, "generation"),
        ({"return_assistant_tokens_mask": True, "tokenize": False}, "tokenize=True"),
        ({"return_assistant_tokens_mask": True, "return_dict": False}, "return_dict=True"),
        ({"messages": []}, "'messages' is no name"),
        ({"sanitize_control_tokens": True}, "not supported"),
    ],
)
def test_options_that_make_no_sense_are_refused(bert, options, words):
    options = {"chat_template": CHATML, **options}
    with pytest.raises(InvalidInput, match=words):
        bert.apply_chat_template(CHAT, **options)


def test_a_final_message_that_the_template_drops_cannot_be_continued(bert):
    template = "{% for m in messages[:-1] %}{{ m.content }}{% endfor %}"
    with pytest.raises(InvalidInput, match="does not write the last message"):
        bert.apply_chat_template(CHAT, chat_template=template, continue_final_message=True)


def test_documents_must_be_dicts(bert):
    with pytest.raises(WrongType, match="documents"):
        bert.apply_chat_template(CHAT, chat_template=CHATML, documents=["text"])

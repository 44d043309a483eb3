"""From a folder to a tokenizer."""

from __future__ import annotations

import copy
import difflib
import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from minilm.errors import FileProblem, InvalidInput, MinilmError, WrongType
from minilm.files import read_json
from minilm.hub import Source
from minilm.tokenization import families, saving
from minilm.tokenization.normalizers import normalizer_from_json
from minilm.tokenization.pipeline import Pipeline
from minilm.tokenization.post_processors import post_processor_from_json
from minilm.tokenization.pre_tokenizers import pre_tokenizer_from_json
from minilm.tokenization.special_tokens import as_added_token
from minilm.tokenization.tokenizer import PreTrainedTokenizer

# How a model is found (see `minilm.hub.Source`).
_SOURCE_OPTIONS = {
    "cache_dir",
    "force_download",
    "local_files_only",
    "revision",
    "subfolder",
    "token",
}
# What else from_pretrained of transformers takes; here there is nothing to run or choose.
_WITHOUT_EFFECT = {"config", "from_slow", "legacy", "proxies", "trust_remote_code", "use_fast"}
_SETTINGS = {
    "add_bos_token",
    "add_eos_token",
    "add_prefix_space",
    "additional_special_tokens",
    "chat_template",
    "clean_up_tokenization_spaces",
    "do_lower_case",
    "extra_ids",
    "extra_special_tokens",
    "model_input_names",
    "model_max_length",
    "padding_side",
    "source_lang",
    "split_special_tokens",
    "strip_accents",
    "target_lang",
    "tokenize_chinese_chars",
    "truncation_side",
}
# In tokenizer_config.json, and settled by the loader itself.
_CONSUMED = (
    "added_tokens_decoder",
    "auto_map",
    "backend",
    "chat_template",
    "files_loaded",
    "init_inputs",
    "is_local",
    "local_files_only",
    "name_or_path",
    "processor_class",
    "response_schema",
    "special_tokens_map_file",
    "tokenizer_class",
    "tokenizer_file",
    "verbose",
    "vocab_file",
)

# What a setting must be, where something is made of it; None leaves it out.
_SHAPES: dict[str, tuple[type, ...]] = {
    "added_tokens_decoder": (dict,),
    "additional_special_tokens": (list, tuple),
    "add_prefix_space": (bool,),
    "chat_template": (str, dict, list),
    "clean_up_tokenization_spaces": (bool,),
    "do_lower_case": (bool,),
    "extra_ids": (int,),
    "extra_special_tokens": (list, tuple, dict),
    "max_len": (int, float),
    "model_input_names": (list, tuple),
    "model_max_length": (int, float),
    "model_type": (str,),
    "padding_side": (str,),
    "split_special_tokens": (bool,),
    "strip_accents": (bool,),
    "tokenize_chinese_chars": (bool,),
    "tokenizer_class": (str,),
    "truncation_side": (str,),
}


class AutoTokenizer:
    """Loads the tokenizer of any model from its folder; not made itself."""

    def __init__(self) -> None:
        raise InvalidInput(
            "AutoTokenizer is not made itself. Use AutoTokenizer.from_pretrained('path/to/folder')."
        )

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *inputs: Any,
        **kwargs: Any,
    ) -> PreTrainedTokenizer:
        """Load a tokenizer from a folder, a shipped checkpoint, or a model of the hub.

        pretrained_model_name_or_path: a folder, a shipped checkpoint's name, or "owner/model"; with
            tokenizer.json, or with older files: vocab.json and merges.txt, vocab.txt, a
            SentencePiece model, or Marian's pair of them
        kwargs: revision, cache_dir, token, local_files_only, subfolder; settings that come before
            those of tokenizer_config.json: pad_token, padding_side, model_max_length,
            add_prefix_space, do_lower_case, …

        Returns the tokenizer. Raises `FileProblem` for a missing or empty folder and for damaged
        files. (transformers returns a tokenizer with an empty vocabulary for some of these.)

        tokenizer.json is read as written, so ids are those of the original model. transformers'
        AutoTokenizer rebuilds some classes from the vocabulary alone and loses what else the file
        says: StarCoder2's digits are then no longer split one by one, a cased BERT whose
        tokenizer_config.json does not repeat do_lower_case=False is lowercased, and Llama 2 gets no
        space of its own before a text that begins with one.
        """
        _refuse_unknown(kwargs)
        for setting, value in kwargs.items():
            wrong = _wrong_shape(setting, value)
            if wrong:
                raise WrongType(f"{wrong}.")
        how = {name: kwargs.pop(name) for name in _SOURCE_OPTIONS & kwargs.keys()}
        files = TokenizerFolder(Source(pretrained_model_name_or_path, **how))
        settings = {name: value for name, value in kwargs.items() if name not in _WITHOUT_EFFECT}
        with _without_garbage_collection():
            return load(files, settings, str(pretrained_model_name_or_path))


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Keep Python from looking for garbage among a million small objects that all stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass
class TokenizerFolder:
    """The files of a tokenizer, read when asked for.

    source: where they are
    """

    source: Source

    def __str__(self) -> str:
        """Say where they are, at the start of a sentence."""
        place = str(self.source)
        return place[:1].upper() + place[1:]

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return self.source.file(name) is not None

    def path(self, name: str) -> Path:
        """The path of a file that there is."""
        return self.source.need(name)

    def json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file that holds an object; {} if there is none."""
        if not self.has(name):
            return {}
        data = read_json(self.path(name))
        if not isinstance(data, dict):
            raise FileProblem(
                f"'{self.path(name)}' holds {type(data).__name__}, and a JSON object was expected. "
                "Fetch or save it again."
            )
        return data

    def text(self, name: str, within: str = "") -> str:
        """The content of a text file that there is, or of one in a folder below."""
        path = self.source.file(name, within) or self.path(name)
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise FileProblem(
                f"'{path}' is not UTF-8 text (byte {error.start}). Fetch or save it again."
            ) from None

    @cached_property
    def config(self) -> dict[str, Any]:
        """tokenizer_config.json."""
        return self._checked(saving.CONFIG_FILE)

    @cached_property
    def model_config(self) -> dict[str, Any]:
        """The model's config.json."""
        return self._checked("config.json")

    def _checked(self, name: str) -> dict[str, Any]:
        data = self.json(name)
        for setting, value in data.items():
            wrong = _wrong_shape(setting, value)
            if wrong:
                raise FileProblem(f"In '{self.path(name)}', {wrong}. Correct the file.")
        return data

    def names(self, within: str = "") -> list[str]:
        """All files there are, or those in a folder below."""
        return self.source.names(within)

    def class_name(self, is_byte_level: bool = False) -> str:
        """Which tokenizer class the files mean."""
        named = self.config.get("tokenizer_class") or self.model_config.get("tokenizer_class")
        return families.class_name_for(named, self.model_config.get("model_type"), is_byte_level)


def load(files: TokenizerFolder, settings: dict[str, Any], name: str) -> PreTrainedTokenizer:
    """Make a tokenizer of the files of a folder.

    files: the folder
    settings: what the caller wants otherwise than the files say
    name: what the caller called the folder
    """
    from minilm.tokenization import older_files

    make_post_processor = None
    is_written = files.has(saving.TOKENIZER_FILE)
    if is_written:
        data = files.json(saving.TOKENIZER_FILE)
        pipeline = read_pipeline(data, files.path(saving.TOKENIZER_FILE))
        class_name = files.class_name(is_byte_level="ByteLevel" in _types(data))
        stated = _stated_by(pipeline)
    elif older_files.is_marian(files):
        from minilm.tokenization.marian import load_marian

        config = collect_settings(files, "MarianTokenizer", settings, {}, is_written)
        marian = load_marian(files, {**config, "name_or_path": name})
        for pipeline in marian.pipelines:
            _add_listed_tokens(files, config, pipeline)
        return marian
    else:
        class_name, pipeline, stated, make_post_processor = older_files.read(files, settings)
    config = collect_settings(files, class_name, settings, stated, is_written)
    _add_listed_tokens(files, config, pipeline)
    _apply_to_pipeline(pipeline, settings)
    tokenizer = PreTrainedTokenizer(pipeline, **{**config, "name_or_path": name})
    if make_post_processor is not None:
        # Only now have the special tokens that the vocabulary lacked got their ids.
        pipeline.post_processor = post_processor_from_json(make_post_processor(tokenizer))
    for setting in ("add_bos_token", "add_eos_token"):
        if setting in settings:
            setattr(tokenizer, setting, settings[setting])
    return tokenizer


def read_pipeline(data: Mapping[str, Any], path: Path) -> Pipeline:
    """Make the pipeline that a tokenizer.json describes.

    data: its content
    path: where it came from, for the error message
    """
    try:
        return Pipeline.from_json(data)
    except FileProblem:
        raise
    except (MinilmError, RecursionError) as error:
        raise FileProblem(f"'{path}' cannot be read as a tokenizer: {error}") from error


def collect_settings(
    files: TokenizerFolder,
    class_name: str,
    given: Mapping[str, Any],
    stated: Mapping[str, Any],
    from_json: bool,
) -> dict[str, Any]:
    """Collect a tokenizer's settings, from what counts least to what counts most.

    files: tokenizer_config.json, special_tokens_map.json, the chat templates
    class_name: whose defaults come first
    given: what the caller says, which comes last
    stated: what the vocabulary's own files say
    from_json: whether there is a tokenizer.json
    """
    family = families.FAMILIES.get(class_name, families.PLAIN)
    config = dict(files.config)
    if "added_tokens_decoder" not in config:
        config.update(files.json("special_tokens_map.json"))
    config.update(_chat_templates(files, config))
    config.update(given)
    # A role may be empty on purpose; any other setting that is null says nothing.
    config = {
        name: value for name, value in config.items() if value is not None or name not in _SHAPES
    }
    for source in (config,):
        older = source.pop("additional_special_tokens", None)
        if older is not None and not source.get("extra_special_tokens"):
            source["extra_special_tokens"] = older
    settings: dict[str, Any] = {
        **family.special_tokens,
        "model_input_names": family.model_input_names,
        "padding_side": family.padding_side,
        **stated,
        **config,
    }
    if "extra_special_tokens" not in config and family.extra_special_tokens:
        count = settings.get("extra_ids", len(family.extra_special_tokens))
        extra = [*stated.get("extra_special_tokens", ()), *family.extra_special_tokens[:count]]
        settings["extra_special_tokens"] = list(dict.fromkeys(extra))
    if from_json:
        # The post-processor of tokenizer.json says it better.
        for name in ("add_bos_token", "add_eos_token"):
            settings.pop(name, None)
    template = settings.get("chat_template")
    for name in _CONSUMED:
        settings.pop(name, None)
    if template is not None:
        settings["chat_template"] = template
    if settings.get("model_max_length") is None:
        settings.pop("model_max_length", None)
        if settings.get("max_len") is not None:
            settings["model_max_length"] = settings["max_len"]
    return {name: value for name, value in settings.items() if name != "pipeline"}


def _stated_by(pipeline: Pipeline) -> dict[str, Any]:
    """Settings that stand in tokenizer.json itself, in its sections on padding and truncation."""
    stated: dict[str, Any] = {}
    if pipeline.padding:
        stated["pad_token"] = pipeline.padding.get("pad_token")
        stated["padding_side"] = str(pipeline.padding.get("direction", "right")).lower()
    if pipeline.truncation:
        stated["truncation_side"] = str(pipeline.truncation.get("direction", "right")).lower()
    return stated


def _chat_templates(files: TokenizerFolder, config: Mapping[str, Any]) -> dict[str, Any]:
    """The chat templates of a folder: in files of their own, or else in tokenizer_config.json."""
    templates: dict[str, str] = {}
    if files.has(saving.TEMPLATE_FILE):
        templates["default"] = files.text(saving.TEMPLATE_FILE)
    for name in files.names(saving.TEMPLATE_FOLDER):
        if name.endswith(".jinja"):
            templates[Path(name).stem] = files.text(name, saving.TEMPLATE_FOLDER)
    if list(templates) == ["default"]:
        return {"chat_template": templates["default"]}
    if templates:
        return {"chat_template": templates}
    listed = config.get("chat_template")
    if isinstance(listed, list):
        try:
            return {"chat_template": {entry["name"]: entry["template"] for entry in listed}}
        except (TypeError, KeyError):
            raise FileProblem(
                f"The chat_template in '{files.path(saving.CONFIG_FILE)}' is a list whose entries "
                "are not {'name': …, 'template': …}. Correct the file."
            ) from None
    return {}


def _add_listed_tokens(
    files: TokenizerFolder, settings: Mapping[str, Any], pipeline: Pipeline
) -> None:
    """Add the tokens that the files beside the vocabulary list, where it lacks them.

    tokenizer_config.json also has the last word on what kind of token each is: in Command R's
    tokenizer.json the end of a turn is an ordinary token, and here a special one.
    """
    listed = files.config.get("added_tokens_decoder")
    if isinstance(listed, Mapping):
        if not all(number.isdecimal() for number in listed):
            raise FileProblem(
                f"The added_tokens_decoder in '{files.path(saving.CONFIG_FILE)}' goes from ids to "
                f"tokens, and {next(number for number in listed if not number.isdecimal())!r} is "
                "no id. Correct the file."
            )
        entries = [(int(number), as_added_token(token)) for number, token in listed.items()]
    else:
        roles = {name: value for name, value in settings.items() if name.endswith("_token")}
        extra = settings.get("extra_special_tokens") or []
        special = {
            str(as_added_token(token, what=role))
            for role, token in [
                *roles.items(),
                *(("extra_special_tokens", token) for token in extra),
            ]
            if token is not None and not isinstance(token, bool)
        }
        added = files.json("added_tokens.json")
        entries = [
            (number, as_added_token(token, token in special)) for token, number in added.items()
        ]
    there = pipeline.added_tokens
    new = []
    for _, token in sorted(entries, key=lambda entry: entry[0]):
        number = there.by_content.get(token.content)
        known = None if number is None else replace(there.by_id[number], id=None)
        if known is None or (isinstance(listed, Mapping) and token != known):
            new.append(token)
    if new:
        pipeline.add_tokens(new)


def _apply_to_pipeline(pipeline: Pipeline, settings: Mapping[str, Any]) -> None:
    """Apply what the caller asked for by name to the pieces that tokenizer.json describes."""
    names = {
        "add_prefix_space": "add_prefix_space",
        "do_lower_case": "lowercase",
        "strip_accents": "strip_accents",
        "tokenize_chinese_chars": "handle_chinese_chars",
    }
    wanted = {key: settings[setting] for setting, key in names.items() if setting in settings}
    readers = {
        "normalizer": normalizer_from_json,
        "pre_tokenizer": pre_tokenizer_from_json,
        "post_processor": post_processor_from_json,
    }
    for section, reader in readers.items():
        piece = getattr(pipeline, section)
        data = copy.deepcopy(piece and piece.to_json())
        changed = [_set_everywhere(data, key, value) for key, value in wanted.items()]
        if any(changed):
            setattr(pipeline, section, reader(data))


def _set_everywhere(piece: Any, key: str, value: Any) -> bool:
    """Set a key in a piece of tokenizer.json and the pieces inside it, where it is there."""
    changed = False
    if isinstance(piece, dict):
        if key in piece:
            piece[key], changed = value, True
        elif key == "add_prefix_space" and piece.get("type") == "Metaspace":
            piece["prepend_scheme"], changed = "always" if value else "never", True
        inside = [_set_everywhere(inner, key, value) for inner in piece.values()]
        return changed or any(inside)
    if isinstance(piece, list):
        inside = [_set_everywhere(inner, key, value) for inner in piece]
        return any(inside)
    return False


def _types(data: Any) -> list[str]:
    """The types of the pieces outside the vocabulary."""
    found = []
    if isinstance(data, dict):
        found = [data["type"]] if isinstance(data.get("type"), str) else []
        found += [name for key, value in data.items() if key != "vocab" for name in _types(value)]
    elif isinstance(data, list) and not (data and isinstance(data[0], str)):
        found = [name for value in data if isinstance(value, dict) for name in _types(value)]
    return found


def _wrong_shape(setting: str, value: Any) -> str:
    """Say what is wrong with a setting's value; "" if nothing is."""
    shapes = _SHAPES.get(setting)
    if shapes is None or value is None:
        return ""
    inside: list[Any] = []
    if setting == "chat_template" and isinstance(value, dict):
        inside = [*value, *value.values()]
    elif setting == "model_input_names" and isinstance(value, (list, tuple)):
        inside = list(value)
    is_flag = isinstance(value, bool) and bool not in shapes
    if isinstance(value, shapes) and not is_flag and all(isinstance(part, str) for part in inside):
        return ""
    expected = " or ".join(shape.__name__ for shape in shapes)
    return f"{setting} is {value!r:.60}, and {expected}{' of str' if inside else ''} was expected"


def _refuse_unknown(kwargs: Mapping[str, Any]) -> None:
    for name in kwargs:
        known = _SETTINGS | _WITHOUT_EFFECT | _SOURCE_OPTIONS
        if name in known or name.endswith("_token"):
            continue
        near = difflib.get_close_matches(name, known | {"pad_token", "eos_token"}, n=1)
        hint = (
            f" Did you mean '{near[0]}'?" if near else f" It takes {', '.join(sorted(_SETTINGS))}."
        )
        raise WrongType(f"AutoTokenizer.from_pretrained has no argument '{name}'.{hint}")

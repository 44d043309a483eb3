"""Writing a tokenizer to a folder: which files, and what stands in them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilm.errors import FileProblem, InvalidInput
from minilm.files import replace_files

if TYPE_CHECKING:
    from minilm.tokenization.tokenizer import PreTrainedTokenizer

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
TEMPLATE_FILE = "chat_template.jinja"
TEMPLATE_FOLDER = "additional_chat_templates"
# Older files that say the same things, and would be read beside the new ones.
_SUPERSEDED = ("special_tokens_map.json", "added_tokens.json")
# The class that reads tokenizer.json as written, by the name transformers 4 and 5 both know.
_GENERAL_CLASS = "PreTrainedTokenizerFast"


def save(
    tokenizer: PreTrainedTokenizer,
    folder: str | os.PathLike[str],
    prefix: str | None = None,
) -> tuple[str, ...]:
    """Write a tokenizer's files, each complete before the first takes its place.

    tokenizer: what to save
    folder: where; made if it is missing
    prefix: put before each file's name, with a dash

    Returns the paths. Files of an earlier tokenizer that would be read beside the new ones, such
    as its chat template, are removed.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileProblem(
            f"'{folder}' is a file, and a folder to save to was expected. Give another path."
        )
    start = f"{prefix}-" if prefix else ""
    templates = _templates(tokenizer)
    files: dict[str, str | bytes] = dict(tokenizer.vocabulary_files())
    files[CONFIG_FILE] = _json(tokenizer_config(tokenizer))
    if "default" in templates:
        files[TEMPLATE_FILE] = templates.pop("default")
    named = {f"{name}.jinja": source for name, source in templates.items()}
    template_folder = folder / f"{start}{TEMPLATE_FOLDER}"
    if named:
        replace_files(template_folder, named)
    contents = {start + name: content for name, content in files.items()}
    replace_files(folder, contents)
    stale = [
        folder / f"{start}{name}" for name in (*_SUPERSEDED, TEMPLATE_FILE) if name not in files
    ]
    stale += [path for path in template_folder.glob("*.jinja") if path.name not in named]
    for path in stale:
        path.unlink(missing_ok=True)
    paths = [folder / name for name in contents] + [template_folder / name for name in named]
    return tuple(map(str, paths))


def tokenizer_config(tokenizer: PreTrainedTokenizer) -> dict[str, Any]:
    """Make the content of tokenizer_config.json: all that tokenizer.json has no place for.

    tokenizer: what to save
    """
    config = {name: value for name, value in tokenizer.init_kwargs.items() if _is_plain(value)}
    config.update(tokenizer.special_tokens_map)
    config.update(
        tokenizer_class=tokenizer.saved_class or _GENERAL_CLASS,
        model_max_length=tokenizer.model_max_length,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        model_input_names=tokenizer.model_input_names,
        clean_up_tokenization_spaces=tokenizer.clean_up_tokenization_spaces,
    )
    if tokenizer.split_special_tokens:
        config["split_special_tokens"] = True
    if tokenizer.extra_special_tokens:
        config["extra_special_tokens"] = tokenizer.extra_special_tokens
    return config


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _templates(tokenizer: PreTrainedTokenizer) -> dict[str, str]:
    """Name → source of the chat templates; a name becomes a file's, so it may not be a path."""
    own = tokenizer.chat_template
    if own is None:
        return {}
    templates = dict(own) if isinstance(own, dict) else {"default": own}
    for name in templates:
        if not name or name != Path(name).name or name.startswith("."):
            raise InvalidInput(
                f"A chat template is saved under its name, and {name!r} is no file name. Rename it."
            )
    return templates

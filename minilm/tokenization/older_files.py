"""Folders from before tokenizer.json: vocabularies, and what their class takes for granted.

Each kind is turned into the content of a tokenizer.json, so that one reader serves all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilm.errors import FileProblem, MinilmError
from minilm.tokenization.pipeline import Pipeline

if TYPE_CHECKING:
    from minilm.tokenization.auto_tokenizer import TokenizerFolder
    from minilm.tokenization.tokenizer import PreTrainedTokenizer

# From the finished tokenizer (which knows its special tokens' ids) to the post-processor's JSON.
PostProcessorMaker = Callable[["PreTrainedTokenizer"], dict[str, Any]]

SENTENCEPIECE_FILES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model")
_BERT_LIKE = (
    "BertTokenizer",
    "ConvBertTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "LxmertTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
)
_GPT2_LIKE = ("GPT2Tokenizer", "CodeGenTokenizer", "GPTNeoXTokenizer", "Qwen2Tokenizer")
_ROBERTA_LIKE = ("RobertaTokenizer", "BartTokenizer", "LEDTokenizer", "LongformerTokenizer")
_CLIP_PATTERN = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
_QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def is_marian(files: TokenizerFolder) -> bool:
    """Whether a folder holds Marian's pair of SentencePiece models.

    files: the folder
    """
    return files.has("source.spm") and files.has("target.spm")


def read(
    files: TokenizerFolder, given: Mapping[str, Any]
) -> tuple[str, Pipeline, dict[str, Any], PostProcessorMaker]:
    """Make a pipeline of whichever older files a folder holds.

    files: the folder
    given: what the caller says: do_lower_case, add_prefix_space, …; comes before the files

    Returns the class name, the pipeline, settings that the files state, and how to make the
    post-processor once the special tokens have their ids.
    Raises `FileProblem` for a folder without any vocabulary.
    """
    settings = {**files.config, **given}
    class_name = files.class_name()
    spm_file = _sentencepiece_file(files)
    if spm_file is not None:
        from minilm.tokenization.sentencepiece_files import read_sentencepiece

        return read_sentencepiece(files.path(spm_file), class_name, settings)
    if files.has("vocab.json") and files.has("merges.txt"):
        return _read_byte_level(files, class_name, settings)
    if files.has("vocab.txt"):
        return _read_wordpiece(files, class_name, settings)
    names = files.names()
    if not names:
        raise FileProblem(
            f"{files} is empty. Give the folder of a tokenizer: one with tokenizer.json."
        )
    raise FileProblem(
        f"{files} holds no tokenizer: there is {', '.join(names[:8])}"
        f"{', …' if len(names) > 8 else ''}, and tokenizer.json was expected, or vocab.json and "
        "merges.txt, vocab.txt, tokenizer.model, or source.spm and target.spm. Save the tokenizer "
        "into it, or give its folder."
    )


def _sentencepiece_file(files: TokenizerFolder) -> str | None:
    for name in SENTENCEPIECE_FILES:
        if files.has(name):
            return name
    return next((name for name in files.names() if name.endswith(".model")), None)


def _read_wordpiece(
    files: TokenizerFolder, class_name: str, settings: Mapping[str, Any]
) -> tuple[str, Pipeline, dict[str, Any], PostProcessorMaker]:
    """vocab.txt: one token a line, the line's number is its id (BERT)."""
    path = files.path("vocab.txt")
    if class_name == "TokenizersBackend":
        class_name = "BertTokenizer"
    _check_class(class_name, _BERT_LIKE, path)
    lines = files.text("vocab.txt").split("\n")
    if lines[-1] == "":
        lines.pop()
    vocab = {token: number for number, token in enumerate(lines)}
    data = {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": settings.get("tokenize_chinese_chars", True),
            "strip_accents": settings.get("strip_accents"),
            "lowercase": settings.get("do_lower_case", True),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": _text(settings.get("unk_token", "[UNK]")),
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    }

    def post_processor(tokenizer: PreTrainedTokenizer) -> dict[str, Any]:
        cls, sep = tokenizer.cls_token, tokenizer.sep_token
        return template(
            tokenizer,
            [(cls, 0), ("A", 0), (sep, 0)],
            [(cls, 0), ("A", 0), (sep, 0), ("B", 1), (sep, 1)],
        )

    return class_name, make_pipeline(data, path), {}, post_processor


def _read_byte_level(
    files: TokenizerFolder, class_name: str, settings: Mapping[str, Any]
) -> tuple[str, Pipeline, dict[str, Any], PostProcessorMaker]:
    """vocab.json and merges.txt: byte-level BPE (GPT-2, RoBERTa, CLIP and their kin)."""
    vocab = files.json("vocab.json")
    path = files.path("merges.txt")
    if class_name == "TokenizersBackend":
        # Nothing says whose files these are; RoBERTa's vocabulary has other special tokens.
        class_name = (
            "RobertaTokenizer" if {"<s>", "</s>", "<mask>"} <= vocab.keys() else "GPT2Tokenizer"
        )
    _check_class(class_name, (*_GPT2_LIKE, *_ROBERTA_LIKE, "CLIPTokenizer"), path)
    add_prefix_space = bool(settings.get("add_prefix_space") or False)
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": True,
        "use_regex": True,
    }
    data: dict[str, Any] = {
        "normalizer": {"type": "NFC"}
        if class_name in ("GPTNeoXTokenizer", "Qwen2Tokenizer")
        else None,
        "pre_tokenizer": byte_level,
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": True,
            "use_regex": True,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": _read_merges(files.text("merges.txt"), path),
        },
    }
    if class_name == "Qwen2Tokenizer":
        steps = [_split(_QWEN2_PATTERN, "Isolated"), {**byte_level, "use_regex": False}]
        data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    if class_name == "CLIPTokenizer":
        spaces = {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}
        steps = [{"type": "NFC"}, spaces, {"type": "Lowercase"}]
        data["normalizer"] = {"type": "Sequence", "normalizers": steps}
        byte_level["add_prefix_space"] = False
        steps = [_split(_CLIP_PATTERN, "Removed"), byte_level]
        data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
        unk = _text(settings.get("unk_token", "<|endoftext|>"))
        data["model"].update(end_of_word_suffix="</w>", unk_token=unk)

    def roberta(tokenizer: PreTrainedTokenizer) -> dict[str, Any]:
        return {
            "type": "RobertaProcessing",
            "sep": [tokenizer.sep_token, tokenizer.sep_token_id],
            "cls": [tokenizer.cls_token, tokenizer.cls_token_id],
            "trim_offsets": bool(settings.get("trim_offsets", True)),
            "add_prefix_space": add_prefix_space,
        }

    def clip(tokenizer: PreTrainedTokenizer) -> dict[str, Any]:
        return {
            "type": "RobertaProcessing",
            "sep": [tokenizer.eos_token, tokenizer.eos_token_id],
            "cls": [tokenizer.bos_token, tokenizer.bos_token_id],
            "trim_offsets": False,
            "add_prefix_space": False,
        }

    makers = {**dict.fromkeys(_ROBERTA_LIKE, roberta), "CLIPTokenizer": clip}
    maker = makers.get(class_name) or start_and_end(settings)
    return class_name, make_pipeline(data, path), {}, maker


def _split(pattern: str, behavior: str) -> dict[str, Any]:
    """A step that cuts what a pattern matches apart; "Removed" drops all that lies between."""
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": behavior,
        "invert": behavior == "Removed",
    }


def _read_merges(text: str, path: Path) -> list[list[str]]:
    """merges.txt: two tokens a line, the pair that is merged first on top."""
    merges = []
    for number, line in enumerate(text.split("\n"), start=1):
        # The header alone: a merge may well begin with "#".
        if not line or line.startswith("#version"):
            continue
        pair = line.split(" ")
        if len(pair) != 2:
            raise FileProblem(
                f"Line {number} of '{path}' is {line!r}, and two tokens with a space between were "
                "expected. Fetch or save the file again."
            )
        merges.append(pair)
    return merges


def make_pipeline(data: Mapping[str, Any], path: Path) -> Pipeline:
    """Make a pipeline of what tokenizer.json would say.

    data: its sections; those left out are empty
    path: the file the vocabulary came from, for the error message
    """
    empty: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
    }
    try:
        return Pipeline.from_json({**empty, **data})
    except MinilmError as error:
        raise FileProblem(f"'{path}' and the files beside it make no tokenizer: {error}") from error


def template(
    tokenizer: PreTrainedTokenizer,
    single: list[tuple[str, int]],
    pair: list[tuple[str, int]],
) -> dict[str, Any]:
    """Write a TemplateProcessing as tokenizer.json does.

    tokenizer: knows the ids
    single, pair: (token or "A" or "B", token type id) in order
    """

    def pieces(entries: list[tuple[str, int]]) -> list[dict[str, Any]]:
        return [
            {"Sequence": {"id": name, "type_id": type_id}}
            if name in ("A", "B")
            else {"SpecialToken": {"id": name, "type_id": type_id}}
            for name, type_id in entries
        ]

    names = sorted({name for name, _ in single + pair} - {"A", "B"})
    return {
        "type": "TemplateProcessing",
        "single": pieces(single),
        "pair": pieces(pair),
        "special_tokens": {
            name: {"id": name, "ids": [tokenizer.convert_tokens_to_ids(name)], "tokens": [name]}
            for name in names
        },
    }


def bos_eos_template(tokenizer: PreTrainedTokenizer, start: bool, end: bool) -> dict[str, Any]:
    """Write the template that puts bos_token before and eos_token behind each text.

    tokenizer: knows both tokens
    start, end: whether to put them
    """
    single, second = [("A", 0)], [("B", 1)]
    if start:
        single.insert(0, (tokenizer.bos_token, 0))
        second.insert(0, (tokenizer.bos_token, 1))
    if end:
        single.append((tokenizer.eos_token, 0))
        second.append((tokenizer.eos_token, 1))
    return template(tokenizer, single, single + second)


def start_and_end(settings: Mapping[str, Any]) -> PostProcessorMaker:
    """Make the post-processor that add_bos_token and add_eos_token ask for; neither unless said.

    settings: tokenizer_config.json with the caller's own on top
    """
    start, end = bool(settings.get("add_bos_token")), bool(settings.get("add_eos_token"))
    return lambda tokenizer: bos_eos_template(tokenizer, start, end)


def _check_class(name: str, known: tuple[str, ...], path: Path) -> None:
    if name not in known:
        raise FileProblem(
            f"'{path}' belongs to the class {name}, whose way of splitting text is known only from "
            f"a tokenizer.json (without one: {', '.join(known)}). Save that tokenizer again with a "
            "newer transformers, and load the tokenizer.json it writes."
        )


def _text(token: Any) -> str:
    return token["content"] if isinstance(token, Mapping) else str(token)

"""SentencePiece models: one file with the pieces, their scores, and how text is prepared."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilm.errors import FileProblem, MissingPackage
from minilm.tokenization import families
from minilm.tokenization.bpe_model import BPE
from minilm.tokenization.older_files import (
    PostProcessorMaker,
    make_pipeline,
    start_and_end,
    template,
)
from minilm.tokenization.pipeline import Pipeline

if TYPE_CHECKING:
    from minilm.tokenization.tokenizer import PreTrainedTokenizer

SPACE = "\u2581"  # "▁", how SentencePiece writes a space
# The kinds of pieces and models, as sentencepiece_model.proto numbers them.
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_UNIGRAM, _BPE = 1, 2
# Classes that move ids or put special tokens in ways of their own, which are not written down here.
_OTHER_WAYS = (
    "BarthezTokenizer",
    "BigBirdTokenizer",
    "FNetTokenizer",
    "M2M100Tokenizer",
    "MBart50Tokenizer",
    "MBartTokenizer",
    "NllbTokenizer",
    "PegasusTokenizer",
    "ReformerTokenizer",
    "RemBertTokenizer",
    "SeamlessM4TTokenizer",
    "SiglipTokenizer",
    "XGLMTokenizer",
    "XLNetTokenizer",
)


def read_sentencepiece(
    path: Path, class_name: str, settings: Mapping[str, Any]
) -> tuple[str, Pipeline, dict[str, Any], PostProcessorMaker]:
    """Make a pipeline of a SentencePiece model.

    path: the .model file
    class_name: what tokenizer_config.json says; it decides which ids the pieces get
    settings: tokenizer_config.json with the caller's own on top

    Returns what `older_files.read` returns. Ids are those of the sentencepiece library, moved where
    the class moves them (XLM-R). The scores of the pieces decide over the merges of a BPE model,
    ties go to the left, so that runs of spaces come out as the library has them; a list of merges,
    which is what transformers makes of the file, cannot say that. Text is normalized as the library
    does it, by the longest match, so that letters keep all their accents.
    The library always puts a space before the text, also before one that begins with a space.
    transformers 5 does not put a second one there.
    Raises `FileProblem` for a damaged file, `MissingPackage` without the sentencepiece library.
    """
    if class_name in _OTHER_WAYS:
        raise FileProblem(
            f"'{path}' belongs to the class {class_name}, whose special tokens are known only from "
            "a tokenizer.json. Save that tokenizer again with a newer transformers, and load the "
            "tokenizer.json it writes."
        )
    proto = _parse(path)
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    if trainer.model_type not in (_UNIGRAM, _BPE) or trainer.treat_whitespace_as_suffix:
        raise FileProblem(
            f"'{path}' is a SentencePiece model of a kind that is not supported: only unigram and "
            "bpe models with spaces before the words are."
        )
    pieces, unk = arrange(proto, class_name, settings)
    vocab = {piece: number for number, (piece, _, _) in enumerate(pieces)}
    model: dict[str, Any]
    if trainer.model_type == _BPE:
        merged = (_NORMAL, _USER_DEFINED, _UNUSED)
        model = BPE.from_piece_scores(
            {piece: score for piece, score, kind in pieces if kind in merged},
            vocab,
            unk_token=unk,
            fuse_unk=True,
            byte_fallback=trainer.byte_fallback,
        ).to_json()
    else:
        model = {
            "type": "Unigram",
            "unk_id": vocab[unk],
            "vocab": [[piece, score] for piece, score, _ in pieces],
            "byte_fallback": trainer.byte_fallback,
        }
    data = {
        "added_tokens": [
            {
                "id": vocab[piece],
                "content": piece,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": kind != _USER_DEFINED,
            }
            for piece, _, kind in pieces
            if kind in (_CONTROL, _USER_DEFINED)
        ],
        "normalizer": _normalizer(normalizer, class_name, settings, trainer.model_type == _BPE),
        # Unigram finds the best cut word by word; no piece reaches over a space.
        "pre_tokenizer": None
        if trainer.model_type == _BPE or not trainer.split_by_whitespace
        else {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "never", "split": True},
        "decoder": _decoder(normalizer.add_dummy_prefix),
        "model": model,
    }
    stated: dict[str, Any] = {} if class_name in families.FAMILIES else _stated_roles(trainer)
    controls = [piece.piece for piece in proto.pieces if piece.type == _CONTROL]
    stated["extra_special_tokens"] = [piece for piece in controls if piece in vocab]
    return class_name, make_pipeline(data, path), stated, _post_processor(class_name, settings)


def _parse(path: Path) -> Any:
    try:
        from sentencepiece import sentencepiece_model_pb2
    except ImportError as error:
        missing = (
            "protobuf" if "google" in str(error) or "protobuf" in str(error) else "sentencepiece"
        )
        raise MissingPackage(
            f"Reading '{path}' needs the package {missing}. Install sentencepiece and protobuf, or "
            "save the tokenizer as tokenizer.json where they are."
        ) from None
    from google.protobuf.message import DecodeError

    proto = sentencepiece_model_pb2.ModelProto()
    try:
        proto.ParseFromString(path.read_bytes())
    except DecodeError:
        raise FileProblem(
            f"'{path}' is damaged, or no SentencePiece model. Fetch it again."
        ) from None
    # A file cut off between two of its parts is still read without complaint.
    for part in ("trainer_spec", "normalizer_spec"):
        if not proto.pieces or not proto.HasField(part):
            raise FileProblem(
                f"'{path}' is no whole SentencePiece model: its pieces or its {part} are missing. "
                "Fetch it again."
            )
    return proto


def arrange(
    proto: Any, class_name: str, settings: Mapping[str, Any]
) -> tuple[list[tuple[str, float, int]], str]:
    """Put the pieces in the order of their ids, which some classes change.

    proto: the parsed model
    class_name: whose order
    settings: extra_ids, and the names of special tokens

    Returns (piece, score, kind) by id, and the unknown piece.
    """
    pieces = [(piece.piece, piece.score, piece.type) for piece in proto.pieces]
    unk = next((piece for piece, _, kind in pieces if kind == _UNKNOWN), "<unk>")
    special = [(name, 0.0, _CONTROL) for name in ("<s>", "<pad>", "</s>")]
    if class_name == "XLMRobertaTokenizer":
        # fairseq's four special tokens take the place of the file's three.
        front = [*special, (unk, 0.0, _UNKNOWN)]
        return [*front, *pieces[3:], ("<mask>", 0.0, _CONTROL)], unk
    if class_name == "CamembertTokenizer":
        front = [
            ("<s>NOTUSED", 0.0, _CONTROL),
            ("<pad>", 0.0, _CONTROL),
            ("</s>NOTUSED", 0.0, _CONTROL),
            (unk, 0.0, _UNKNOWN),
            ("<unk>NOTUSED", -100.0, _CONTROL),
        ]
        return [*front, *pieces[1:], ("<mask>", 0.0, _CONTROL)], unk
    if class_name == "T5Tokenizer":
        count = settings.get("extra_ids", 100)
        pieces += [(f"<extra_id_{i}>", 0.0, _CONTROL) for i in reversed(range(count))]
    return pieces, unk


def _normalizer(
    spec: Any, class_name: str, settings: Mapping[str, Any], escape: bool
) -> dict[str, Any] | None:
    """How the library prepares text, as steps of tokenizer.json."""
    steps: list[dict[str, Any]] = []
    if class_name == "AlbertTokenizer":
        steps += [_replace("``", '"'), _replace("''", '"')]
        if not settings.get("keep_accents", False):
            steps += [{"type": "NFKD"}, {"type": "StripAccents"}]
        if settings.get("do_lower_case", True):
            steps.append({"type": "Lowercase"})
    if spec.precompiled_charsmap:
        charsmap = base64.b64encode(spec.precompiled_charsmap).decode()
        steps.append(
            {"type": "Precompiled", "precompiled_charsmap": charsmap, "longest_match": True}
        )
    if spec.remove_extra_whitespaces:
        # At the end the library takes away what looks like an escaped space, too.
        steps += [_replace_regex(rf"\A +|[ {SPACE}]+\z", ""), _replace_regex(" {2,}", " ")]
    if spec.add_dummy_prefix:
        steps.append({"type": "Prepend", "prepend": SPACE})
    if escape and spec.escape_whitespaces:
        steps.append(_replace(" ", SPACE))
    return {"type": "Sequence", "normalizers": steps} if steps else None


def _replace(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


def _replace_regex(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def _decoder(has_prefix: bool) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        _replace(SPACE, " "),
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if has_prefix:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": steps}


def _stated_roles(trainer: Any) -> dict[str, str]:
    """The special tokens that the file itself names, for classes without names of their own."""
    numbers = {
        "bos": trainer.bos_id,
        "eos": trainer.eos_id,
        "unk": trainer.unk_id,
        "pad": trainer.pad_id,
    }
    return {
        f"{role}_token": getattr(trainer, f"{role}_piece")
        for role, number in numbers.items()
        if number >= 0
    }


def _post_processor(class_name: str, settings: Mapping[str, Any]) -> PostProcessorMaker:
    def t5(tokenizer: PreTrainedTokenizer) -> dict[str, Any]:
        end = (tokenizer.eos_token, 0)
        return template(tokenizer, [("A", 0), end], [("A", 0), end, ("B", 0), end])

    def roberta(tokenizer: PreTrainedTokenizer) -> dict[str, Any]:
        start, end = (tokenizer.bos_token, 0), (tokenizer.eos_token, 0)
        single = [start, ("A", 0), end]
        return template(tokenizer, single, [*single, end, ("B", 0), end])

    def albert(tokenizer: PreTrainedTokenizer) -> dict[str, Any]:
        cls, sep = tokenizer.cls_token, tokenizer.sep_token
        single = [(cls, 0), ("A", 0), (sep, 0)]
        return template(tokenizer, single, [*single, ("B", 1), (sep, 1)])

    makers: dict[str, PostProcessorMaker] = {
        "T5Tokenizer": t5,
        "XLMRobertaTokenizer": roberta,
        "CamembertTokenizer": roberta,
        "AlbertTokenizer": albert,
        "DebertaV2Tokenizer": albert,
    }
    return makers.get(class_name) or start_and_end(settings)

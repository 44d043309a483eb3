"""Marian's tokenizer: one SentencePiece model for the language to read, one for that to write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilm.errors import FileProblem, MissingPackage
from minilm.tokenization.added_tokens import AddedToken
from minilm.tokenization.pipeline import Pipeline
from minilm.tokenization.post_processors import post_processor_from_json
from minilm.tokenization.special_tokens import as_added_token
from minilm.tokenization.tokenizer import PreTrainedTokenizer, token_list

if TYPE_CHECKING:
    from minilm.tokenization.auto_tokenizer import TokenizerFolder

_ROLES = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


class MarianTokenizer(PreTrainedTokenizer):
    """The tokenizer of a Marian translation model (Junczys-Dowmunt et al. 2018).

    source, target: pipelines for the texts to translate and for their translations
    files: the content of the files they were made of, by name, to be saved again
    settings: as for PreTrainedTokenizer

    A call encodes `text` with the source model and `text_target` with the target model; ids come
    from one vocabulary for both (or two, with separate_vocabs). A text may begin with the code of
    the language to translate to: >>deu<<.
    Equals transformers' MarianTokenizer, and knows offsets in addition.
    """

    saved_class = "MarianTokenizer"

    def __init__(
        self, source: Pipeline, target: Pipeline, files: Mapping[str, bytes], **settings: Any
    ) -> None:
        self._target = target
        self._files = dict(files)
        super().__init__(source, **settings)

    def __getstate__(self) -> dict[str, Any]:
        added = list(self.pipeline.added_tokens.by_id.values())
        return {**self.__dict__, "pipeline": added, "_target": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        roles = {role: token for role, token in self._roles.items() if token is not None}
        self.pipeline, self._target = make_pipelines(self._files, roles, self.name_or_path)
        for pipeline in (self.pipeline, self._target):
            pipeline.add_tokens(state["pipeline"])

    def _target_pipeline(self) -> Pipeline:
        return self._target

    @property
    def pipelines(self) -> tuple[Pipeline, Pipeline]:
        """What encodes texts, and what encodes their translations."""
        return self.pipeline, self._target

    @property
    def supported_language_codes(self) -> list[str]:
        """The codes, such as >>deu<<, that a text may begin with."""
        vocab = self.pipeline.model.vocab
        return [token for token in vocab if token.startswith(">>") and token.endswith("<<")]

    def add_tokens(self, new_tokens: Any, special_tokens: bool = False) -> int:
        """Add tokens to both languages (see PreTrainedTokenizer)."""
        before = set(self.pipeline.added_tokens.by_content)
        count = super().add_tokens(new_tokens, special_tokens)
        self._share_added_tokens(before)
        return count

    def add_special_tokens(self, *args: Any, **kwargs: Any) -> int:
        """Give tokens a role, in both languages (see PreTrainedTokenizer)."""
        before = set(self.pipeline.added_tokens.by_content)
        count = super().add_special_tokens(*args, **kwargs)
        self._share_added_tokens(before)
        return count

    def _share_added_tokens(self, before: set[str]) -> None:
        added = self.pipeline.added_tokens
        new = [token for token in added.by_id.values() if token.content not in before]
        self._target.add_tokens(new)

    def _ids_to_text(
        self, ids: list[int], use_source_tokenizer: bool | None = None, **kwargs: Any
    ) -> str:
        if use_source_tokenizer is None:
            # With one vocabulary for both, transformers joins the pieces with the source model. It
            # shows only in spaces behind a special token that stands in the middle.
            use_source_tokenizer = "target_vocab.json" not in self._files
        return (self.pipeline if use_source_tokenizer else self._target).decode(ids)

    def _token_of(self, number: int) -> str | None:
        return self._target.id_to_token(number)

    def convert_tokens_to_string(self, tokens: Any) -> str:
        """From tokens to text of the target language."""
        return self._target.decode_tokens(token_list(tokens))

    def vocabulary_files(self) -> dict[str, str | bytes]:
        """The two models and the vocabulary, as they were read, and the tokens added since."""
        files: dict[str, str | bytes] = dict(self._files)
        vocab = self.pipeline.model.vocab
        added = {
            token: number
            for token, number in self.pipeline.added_tokens.by_content.items()
            if token not in vocab
        }
        if added:
            files["added_tokens.json"] = json.dumps(added, indent=2, ensure_ascii=False) + "\n"
        return files


def load_marian(files: TokenizerFolder, settings: dict[str, Any]) -> MarianTokenizer:
    """Make the tokenizer of source.spm, target.spm and vocab.json.

    files: the folder
    settings: the tokenizer's settings

    Raises `FileProblem` for missing or damaged files, `MissingPackage` without sentencepiece.
    """
    if not files.has("vocab.json"):
        raise FileProblem(
            f"{files} has Marian's source.spm and target.spm, and no "
            "vocab.json with the ids. Fetch it, too."
        )
    names = ["source.spm", "target.spm", "vocab.json"]
    separate = bool(settings.get("separate_vocabs")) and files.has("target_vocab.json")
    if separate:
        names.append("target_vocab.json")
    for name in names[2:]:
        files.json(name)  # for its errors, which name the place
    settings.setdefault("model_max_length", 512)
    settings["separate_vocabs"] = separate
    roles = {
        role: as_added_token(settings.get(role) or token, True) for role, token in _ROLES.items()
    }
    settings.update(roles)
    contents = {name: files.path(name).read_bytes() for name in names}
    source, target = make_pipelines(contents, roles, str(files.path("source.spm").parent))
    return MarianTokenizer(source, target, contents, **settings)


def make_pipelines(
    contents: Mapping[str, bytes], roles: Mapping[str, AddedToken], folder: str
) -> tuple[Pipeline, Pipeline]:
    """Make the pipelines of the source and the target language.

    contents: file name → content
    roles: eos_token, unk_token and pad_token
    folder: where the files are, for error messages
    """
    vocab = json.loads(contents["vocab.json"])
    target_vocab = json.loads(contents.get("target_vocab.json", contents["vocab.json"]))
    source, target = Path(folder, "source.spm"), Path(folder, "target.spm")
    return (
        _pipeline(contents["source.spm"], source, vocab, roles),
        _pipeline(contents["target.spm"], target, target_vocab, roles),
    )


def _pipeline(
    content: bytes, path: Path, vocab: dict[str, int], roles: Mapping[str, AddedToken]
) -> Pipeline:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError:
        raise MissingPackage(
            f"Reading '{path}' needs the package sentencepiece. Install sentencepiece."
        ) from None
    processor = SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(content)
    except (OSError, RuntimeError) as error:
        raise FileProblem(
            f"'{path}' is damaged, or no SentencePiece model. Fetch it again."
        ) from error
    unk, eos = roles["unk_token"].content, roles["eos_token"].content
    if unk not in vocab or eos not in vocab:
        raise FileProblem(
            f"'{path.with_name('vocab.json')}' lacks the token {unk if unk not in vocab else eos}. "
            "Fetch the file again."
        )
    model = SentencePieces(processor, vocab, vocab[unk])
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    end = {"SpecialToken": {"id": eos, "type_id": 0}}
    post_processor = {
        "type": "TemplateProcessing",
        "single": [first, end],
        "pair": [first, second, end],
        "special_tokens": {eos: {"id": eos, "ids": [vocab[eos]], "tokens": [eos]}},
    }
    decoder = _PieceDecoder(processor, {token.content for token in roles.values()})
    return Pipeline(
        model,
        decoder=decoder,  # type: ignore[arg-type]
        post_processor=post_processor_from_json(post_processor),
        added_tokens=roles.values(),
    )


class SentencePieces:
    """A pipeline's model that has pieces from the sentencepiece library, and ids from a vocabulary.

    processor: sentencepiece's SentencePieceProcessor
    vocab: piece → id
    unk_id: the id of pieces that are not in the vocabulary
    """

    def __init__(self, processor: Any, vocab: dict[str, int], unk_id: int) -> None:
        self.processor = processor
        self.vocab = dict(vocab)
        self.unk_id = unk_id
        self._tokens = {number: token for token, number in vocab.items()}

    def token_to_id(self, token: str) -> int | None:
        """The id of a piece, or None."""
        return self.vocab.get(token)

    def id_to_token(self, number: int) -> str | None:
        """The piece of an id, or None."""
        return self._tokens.get(number)

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""
        code, rest = language_code(text)
        pieces = [code] if code else []
        pieces += self.processor.encode(rest, out_type=str)
        return [self.vocab.get(piece, self.unk_id) for piece in pieces]

    def encode_with_offsets(self, text: str) -> list[tuple[int, int, int]]:
        """The (id, start, end) of the pieces of a text."""
        code, rest = language_code(text)
        shift = len(code)
        found = [(self.vocab.get(code, self.unk_id), 0, shift)] if code else []
        position = 0
        for piece in self._encoded(rest).pieces:
            # A piece's surface is the stretch of text it stands for; its numbers count bytes or
            # characters, as the library's version has it.
            start = rest.index(piece.surface, position)
            position = start + len(piece.surface)
            number = self.vocab.get(piece.piece, self.unk_id)
            found.append((number, shift + start, shift + position))
        return found

    def _encoded(self, text: str) -> Any:
        try:
            return self.processor.encode(text, return_type="proto")
        except TypeError:  # sentencepiece before 0.2.2
            return self.processor.encode(text, out_type="immutable_proto")


def language_code(text: str) -> tuple[str, str]:
    """Split off the code of the language to translate to, such as >>deu<<, if there is one.

    text: any text

    Returns the code ("" if there is none) and the rest.
    """
    end = text.find("<<")
    if text.startswith(">>") and end != -1:
        return text[: end + 2], text[end + 2 :]
    return "", text


class _PieceDecoder:
    """From pieces to text with the sentencepiece library; special tokens stay as they are."""

    def __init__(self, processor: Any, special: set[str]) -> None:
        self.processor = processor
        self.special = special

    def decode(self, tokens: list[str]) -> list[str]:
        """The text of some pieces, in a list as the decoders of a pipeline return it."""
        parts: list[str] = []
        run: list[str] = []
        for token in tokens:
            if token in self.special:
                parts.append(self.processor.decode_pieces(run) + token + " ")
                run = []
            else:
                run.append(token)
        parts.append(self.processor.decode_pieces(run))
        return ["".join(parts).replace("\u2581", " ").strip()]

    def to_json(self) -> None:
        """Nothing: tokenizer.json has no words for it."""

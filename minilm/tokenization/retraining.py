"""A tokenizer of the same kind for other texts: same steps and roles, a new vocabulary."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput, WrongType
from minilm.tokenization import byte_alphabet, training
from minilm.tokenization.added_tokens import AddedToken
from minilm.tokenization.call_options import kind_of
from minilm.tokenization.pipeline import Pipeline, model_from_json
from minilm.tokenization.special_tokens import as_added_token

if TYPE_CHECKING:
    from minilm.tokenization.tokenizer import PreTrainedTokenizer


def retrain(
    tokenizer: PreTrainedTokenizer,
    texts: Iterable[Any],
    vocab_size: int,
    length: int | None = None,
    new_special_tokens: Sequence[str | AddedToken] | None = None,
    special_tokens_map: Mapping[str, str] | None = None,
    trainer_options: Mapping[str, Any] | None = None,
) -> PreTrainedTokenizer:
    """Train a tokenizer of the kind of another on new texts.

    tokenizer: the pattern; it stays as it is
    texts: texts, or batches of texts; read once, and only the counts of words are kept
    vocab_size: how many tokens the new vocabulary may have
    length: how many texts there are, for the progress bar
    new_special_tokens: special tokens to add
    special_tokens_map: old special token → new name
    trainer_options: for the trainer; show_progress shows a bar while reading, too

    Returns the new tokenizer. Special tokens come first in its vocabulary; added tokens that are
    not special are left behind.
    Equals transformers' `train_new_from_iterator`, which in addition leaves the ids of the old
    vocabulary in post-processors of type Sequence.
    """
    from minilm.tokenization.tokenizer import PreTrainedTokenizer

    if type(tokenizer) is not PreTrainedTokenizer:
        raise InvalidInput(
            f"A {type(tokenizer).__name__} works with models of the sentencepiece library, and is "
            "trained with that."
        )
    renamed = dict(special_tokens_map or {})
    options = dict(trainer_options or {})
    data = copy.deepcopy(tokenizer.pipeline.to_json())  # it may share lists with the pipeline
    added = _special_tokens(data, renamed, new_special_tokens or ())
    counts = count_words(tokenizer.pipeline, texts, length, options.get("show_progress"))
    if options.get("show_progress") is None:
        options.pop("show_progress", None)
    if _is_byte_level(data["pre_tokenizer"]):
        options.setdefault("initial_alphabet", sorted(byte_alphabet.byte_alphabet().values()))
    unk = _unknown_token(data["model"])
    if data["model"]["type"] == "Unigram" and unk is not None:
        options.setdefault("unk_token", renamed.get(unk, unk))
    trained = training.train_like(
        tokenizer.pipeline.model,
        counts,
        vocab_size,
        [token.content for token in added],
        **options,
    )
    model = trained.to_json()
    if model.get("unk_token") is not None:
        model["unk_token"] = renamed.get(model["unk_token"], model["unk_token"])
    ids = _ids(model_from_json(model), added)
    data["model"] = model
    data["added_tokens"] = [{**token.to_json(), "id": ids[token.content]} for token in added]
    _renumber(data["post_processor"], ids, renamed)
    return _like(tokenizer, Pipeline.from_json(data), renamed, new_special_tokens or ())


def count_words(
    pipeline: Pipeline, texts: Iterable[Any], length: int | None = None, show: bool | None = None
) -> Counter[str]:
    """Count how often each word occurs, without keeping the texts.

    pipeline: its normalizer and pre-tokenizer cut texts into words
    texts: texts, or batches of texts
    length: how many there are, for the progress bar
    show: whether to show the bar; None = when somebody watches (a terminal)
    """
    from tqdm import tqdm

    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise WrongType(
            "Texts to train on come as a list or another iterable of texts, and this is "
            f"{kind_of(texts)}. Put a single text in a list."
        )
    counts: Counter[str] = Counter()
    bar = tqdm(texts, total=length, desc="reading", disable=None if show is None else not show)
    for number, item in enumerate(bar):
        for text in _texts_of(item, number):
            counts.update(pipeline.split_for_training(text))
    return counts


def _texts_of(item: Any, number: int) -> Iterator[str]:
    if isinstance(item, str):
        yield item
        return
    if isinstance(item, bytes) or not isinstance(item, Iterable):
        raise WrongType(
            f"Item {number} of the texts is {kind_of(item)}, and a text or a batch of texts was "
            "expected."
        )
    for text in item:
        if not isinstance(text, str):
            raise WrongType(
                f"Batch {number} of the texts holds something {kind_of(text)}, and texts were "
                "expected."
            )
        yield text


def _special_tokens(
    data: Mapping[str, Any], renamed: Mapping[str, str], new: Sequence[str | AddedToken]
) -> list[AddedToken]:
    """The special tokens that the new vocabulary begins with."""
    is_unigram = data["model"]["type"] == "Unigram"
    kept = [entry for entry in data["added_tokens"] if is_unigram or entry["special"]]
    tokens = [
        AddedToken(
            renamed.get(entry["content"], entry["content"]),
            **{name: entry[name] for name in ("single_word", "lstrip", "rstrip", "normalized")},
            special=True,
        )
        for entry in kept
    ]
    tokens += [as_added_token(token, special=True, what="new_special_tokens") for token in new]
    return list({token.content: token for token in tokens}.values())


def _is_byte_level(pre_tokenizer: Any) -> bool:
    if not isinstance(pre_tokenizer, Mapping):
        return False
    inner = pre_tokenizer.get("pretokenizers", [])
    return pre_tokenizer.get("type") == "ByteLevel" or any(map(_is_byte_level, inner))


def _unknown_token(model: Mapping[str, Any]) -> str | None:
    if model["type"] == "Unigram":
        number = model.get("unk_id")
        return None if number is None else model["vocab"][number][0]
    return model.get("unk_token")


def _ids(model: Any, added: Sequence[AddedToken]) -> dict[str, int]:
    """Token → id of the new vocabulary; special tokens that it lacks follow behind."""
    ids = dict(model.vocab)
    for token in added:
        ids.setdefault(token.content, len(ids))
    return ids


def _renumber(post_processor: Any, ids: Mapping[str, int], renamed: Mapping[str, str]) -> None:
    """Give the special tokens in a post-processor their new names and ids."""

    def number(token: str) -> int:
        if token not in ids:
            raise InvalidInput(
                f"The post-processor adds the token '{token}', which the new vocabulary does not "
                "have. Keep it as a special token, or name its successor in special_tokens_map."
            )
        return ids[token]

    if not isinstance(post_processor, dict):
        return
    for inner in post_processor.get("processors", []):
        _renumber(inner, ids, renamed)
    for entry in post_processor.get("special_tokens", {}).values():
        entry["tokens"] = [renamed.get(token, token) for token in entry["tokens"]]
        entry["ids"] = [number(token) for token in entry["tokens"]]
    for role in ("cls", "sep"):
        if role in post_processor:
            token = renamed.get(post_processor[role][0], post_processor[role][0])
            post_processor[role] = [token, number(token)]


def _like(
    tokenizer: PreTrainedTokenizer,
    pipeline: Pipeline,
    renamed: Mapping[str, str],
    new: Sequence[str | AddedToken],
) -> PreTrainedTokenizer:
    """A tokenizer with the settings of another around a new pipeline."""

    def rename(token: AddedToken) -> AddedToken:
        name = renamed.get(token.content, token.content)
        return AddedToken(
            name,
            single_word=token.single_word,
            lstrip=token.lstrip,
            rstrip=token.rstrip,
            normalized=token.normalized,
            special=True,
        )

    roles = {role: token and rename(token) for role, token in tokenizer._roles.items()}
    extra = [*map(rename, tokenizer._extra), *(as_added_token(token, True) for token in new)]
    return type(tokenizer)(
        pipeline,
        name_or_path=tokenizer.name_or_path,
        model_max_length=tokenizer.model_max_length,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        model_input_names=tokenizer.model_input_names,
        clean_up_tokenization_spaces=tokenizer.clean_up_tokenization_spaces,
        split_special_tokens=tokenizer.split_special_tokens,
        chat_template=tokenizer.chat_template,
        extra_special_tokens=extra,
        **roles,
        **tokenizer.init_kwargs,
    )

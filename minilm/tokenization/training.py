"""Training a model of the same kind as another, from counted words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tqdm import tqdm

from minilm.errors import InvalidInput, WrongType
from minilm.tokenization import bpe_training, unigram_training
from minilm.tokenization.bpe_model import BPE
from minilm.tokenization.unigram import Unigram
from minilm.tokenization.word_level import WordLevel
from minilm.tokenization.wordpiece import WordPiece

Model = BPE | WordPiece | Unigram | WordLevel
Words = Mapping[str, int]


def train_like(
    model: Model,
    word_counts: Words,
    vocab_size: int,
    special_tokens: Iterable[str] = (),
    **options: Any,
) -> Model:
    """Train a new model of the kind of another, with its settings.

    model: a BPE, WordPiece, Unigram or WordLevel model; it stays as it is
    word_counts: word → how often it occurs, cut as the pre-tokenizer cuts
    vocab_size: how many tokens to end with, the special ones counted
    special_tokens: tokens that come first and are part of no word
    options: what the trainer of that kind in tokenizers takes.
        BPE and WordPiece: initial_alphabet, min_frequency, show_progress, limit_alphabet,
        continuing_subword_prefix, end_of_word_suffix, and BPE max_token_length;
        Unigram: unk_token, shrinking_factor, max_piece_length, n_sub_iterations,
        initial_alphabet, show_progress; WordLevel: min_frequency, show_progress

    Returns the trained model.
    Raises InvalidInput for an option that the kind does not have.
    Equals tokenizers' trainers: BPE merge for merge, WordLevel token for token. WordPiece and
    Unigram are the same algorithms, whose results in tokenizers vary from run to run.
    """
    if not isinstance(vocab_size, int) or isinstance(vocab_size, bool):
        raise WrongType(f"vocab_size is {vocab_size!r}, and a number of tokens was expected.")
    if vocab_size < 0:
        raise InvalidInput(f"vocab_size is {vocab_size}. Give the number of tokens to end with.")
    for kind, train in _TRAINERS.items():
        if isinstance(model, kind):
            known = list(inspect.signature(train).parameters)[4:]
            unknown = [name for name in options if name not in known]
            if unknown:
                raise InvalidInput(
                    f"The training of a {kind.__name__} model has no option {unknown[0]!r}. "
                    f"It has: {', '.join(known)}."
                )
            return train(model, word_counts, vocab_size, list(special_tokens), **options)
    raise WrongType(
        f"The model is a {type(model).__name__}, and only models of the kinds "
        f"{', '.join(kind.__name__ for kind in _TRAINERS)} can be trained."
    )


def _train_bpe(
    model: BPE,
    word_counts: Words,
    vocab_size: int,
    special_tokens: list[str],
    initial_alphabet: Iterable[str] = (),
    min_frequency: int = 0,
    show_progress: bool = False,
    limit_alphabet: int | None = None,
    continuing_subword_prefix: str | None = None,
    end_of_word_suffix: str | None = None,
    max_token_length: int | None = None,
) -> BPE:
    prefix = continuing_subword_prefix or model.continuing_subword_prefix or None
    suffix = end_of_word_suffix or model.end_of_word_suffix or None
    # An entry of several characters stands for its first, as in tokenizers.
    alphabet = {entry[0] for entry in initial_alphabet if entry}
    plain = (word_counts, vocab_size, alphabet, special_tokens, min_frequency)
    special = (show_progress or None, limit_alphabet, prefix, suffix, max_token_length)
    if all(option is None for option in special):
        vocab, merges = bpe_training.train_bpe(*plain)
    else:
        vocab, merges = bpe_training.train_bpe_with_marks(
            *plain, show_progress, limit_alphabet, prefix, suffix, max_token_length
        )
    return BPE(
        vocab,
        merges,
        dropout=model.dropout,
        unk_token=model.unk_token,
        continuing_subword_prefix=prefix,
        end_of_word_suffix=suffix,
        fuse_unk=model.fuse_unk,
        byte_fallback=model.byte_fallback,
        ignore_merges=model.ignore_merges,
    )


def _train_wordpiece(
    model: WordPiece,
    word_counts: Words,
    vocab_size: int,
    special_tokens: list[str],
    initial_alphabet: Iterable[str] = (),
    min_frequency: int = 0,
    show_progress: bool = False,
    limit_alphabet: int | None = None,
    continuing_subword_prefix: str | None = None,
    end_of_word_suffix: str | None = None,
) -> WordPiece:
    # As in tokenizers: BPE with a prefix, of which only the vocabulary is kept.
    if continuing_subword_prefix is None:
        continuing_subword_prefix = model.continuing_subword_prefix
    vocab, _ = bpe_training.train_bpe_with_marks(
        word_counts,
        vocab_size,
        {entry[0] for entry in initial_alphabet if entry},
        special_tokens,
        min_frequency,
        show_progress,
        limit_alphabet,
        continuing_subword_prefix,
        end_of_word_suffix,
    )
    return WordPiece(
        vocab,
        unk_token=model.unk_token,
        continuing_subword_prefix=continuing_subword_prefix,
        max_input_chars_per_word=model.max_input_chars_per_word,
    )


def _train_unigram(
    model: Unigram,
    word_counts: Words,
    vocab_size: int,
    special_tokens: list[str],
    unk_token: str | None = None,
    shrinking_factor: float = 0.75,
    max_piece_length: int = 16,
    n_sub_iterations: int = 2,
    initial_alphabet: Iterable[str] = (),
    show_progress: bool = False,
) -> Unigram:
    if unk_token is None and model.unk_id is not None:
        unk_token = model.id_to_token(model.unk_id)
    pieces, unk_id = unigram_training.train_unigram(
        word_counts,
        vocab_size,
        special_tokens,
        unk_token,
        shrinking_factor,
        max_piece_length,
        n_sub_iterations,
        initial_alphabet,
        show_progress,
    )
    return Unigram(pieces, unk_id, model.byte_fallback)


def _train_word_level(
    model: WordLevel,
    word_counts: Words,
    vocab_size: int,
    special_tokens: list[str],
    min_frequency: int = 0,
    show_progress: bool = False,
) -> WordLevel:
    by_count = sorted(word_counts.items(), key=lambda item: (-item[1], item[0]))
    words = [
        word for word, count in tqdm(by_count, disable=not show_progress) if count >= min_frequency
    ]
    tokens = list(dict.fromkeys([*special_tokens, *words]))[:vocab_size]
    return WordLevel(
        {token: number for number, token in enumerate(tokens)}, unk_token=model.unk_token
    )


_TRAINERS: dict[type, Callable[..., Any]] = {
    BPE: _train_bpe,
    WordPiece: _train_wordpiece,
    Unigram: _train_unigram,
    WordLevel: _train_word_level,
}

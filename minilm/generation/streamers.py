"""Showing a text while it is written."""

from __future__ import annotations

from queue import Queue
from typing import Any

from torch import Tensor

from minilm.errors import InvalidInput
from minilm.generation.stop_strings import BYTE_PIECE, decoder_kinds

# Blocks of characters that stand for words or syllables: there is no space to wait for.
_IDEOGRAPHS = (
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F)),
    *((0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)),
)
# How many tokens of what was shown are decoded again beside the new ones.
_CONTEXT = 8


class BaseStreamer:
    """Be the base of what is given each token as it is written."""

    def put(self, value: Tensor) -> None:
        """Take tokens: first the prompts, then each new one.

        value: int (B, L) or (B,)
        """
        raise NotImplementedError

    def end(self) -> None:
        """Learn that no more tokens come."""
        raise NotImplementedError


class TextStreamer(BaseStreamer):
    """Print a text as soon as its words are whole.

    tokenizer: of the model    skip_prompt: leave the prompt out
    decode_kwargs: for the tokenizer's decode, such as skip_special_tokens=True

    The pieces joined are the text as decode gives it. Nothing is shown that a later token may
    change: half of a character, or of a word.
    Reference: transformers' `TextStreamer`.
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, **decode_kwargs: Any) -> None:
        self.tokenizer = tokenizer
        self.skip_prompt = skip_prompt
        self.decode_kwargs = decode_kwargs
        self._has_byte_pieces = "ByteFallback" in decoder_kinds(tokenizer)
        self._start()

    def _start(self) -> None:
        self.next_tokens_are_prompt = True
        self._context: list[int] = []  # tokens that are shown already
        self._tokens: list[int] = []  # those behind them
        self._n_shown = 0  # characters of these that are shown

    def put(self, value: Tensor) -> None:
        """Take tokens, and show what is certain by now.

        value: int (1, L) or (L,)

        Raises InvalidInput for a batch of several texts.
        """
        if value.ndim > 1:
            if len(value) > 1:
                raise InvalidInput(
                    f"A streamer was given a batch of {len(value)}; it shows one text. Generate one "
                    "at a time, with num_return_sequences=1."
                )
            value = value[0]
        is_prompt, self.next_tokens_are_prompt = self.next_tokens_are_prompt, False
        if is_prompt and self.skip_prompt:
            return
        self._tokens += value.tolist()
        if self._has_byte_pieces and self._ends_with_a_byte():
            self.on_finalized_text("")
            return
        text = self._text()
        if text.endswith("\n"):
            self.on_finalized_text(text[self._n_shown :])
            self._context = [*self._context, *self._tokens][-_CONTEXT:]
            self._tokens, self._n_shown = [], 0
            return
        certain = len(text) if text and _is_ideograph(text[-1]) else text.rfind(" ") + 1
        if self._cleans_up():  # the next word may take away the space before it, or the last word's
            certain = text.rfind(" ", 0, max(text.rfind(" "), 0)) + 1
        certain = max(certain, self._n_shown)
        piece, self._n_shown = text[self._n_shown : certain], certain
        self.on_finalized_text(piece)

    def end(self) -> None:
        """Show what is left."""
        text = self._text() if self._tokens else ""
        left = text[self._n_shown :]
        self._start()
        self.on_finalized_text(left, stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Do something with a piece of text: print it.

        text: the piece, perhaps an empty one    stream_end: whether it is the last
        """
        print(text, flush=True, end=None if stream_end else "")

    def _text(self) -> str:
        """The text of the tokens behind the context."""
        if not self._context:
            return self._decode(self._tokens)
        before = self._decode(self._context)
        return self._decode([*self._context, *self._tokens])[len(before) :]

    def _decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, **self.decode_kwargs)

    def _ends_with_a_byte(self) -> bool:
        """Whether the last token is one byte: with those after it, it may be another character."""
        token = self.tokenizer.convert_ids_to_tokens(self._tokens[-1]) if self._tokens else None
        return token is not None and BYTE_PIECE.fullmatch(token) is not None

    def _cleans_up(self) -> bool:
        asked = self.decode_kwargs.get("clean_up_tokenization_spaces")
        own = getattr(self.tokenizer, "clean_up_tokenization_spaces", False)
        return bool(own if asked is None else asked)


class TextIteratorStreamer(TextStreamer):
    """Give a text piece by piece to a loop, while another thread writes it.

    timeout: how many seconds to wait for the next piece, before queue.Empty is raised; None = for
        ever
    The rest: as for `TextStreamer`.

    >>> streamer = TextIteratorStreamer(tokenizer)                            # doctest: +SKIP
    >>> Thread(target=model.generate, kwargs={**inputs, "streamer": streamer}).start()
    >>> for piece in streamer: print(piece, end="")

    Reference: transformers' `TextIteratorStreamer`.
    """

    def __init__(
        self,
        tokenizer: Any,
        skip_prompt: bool = False,
        timeout: float | None = None,
        **decode_kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.text_queue: Queue[str | None] = Queue()
        self.stop_signal = None
        self.timeout = timeout

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Put a piece where the loop finds it.

        text: the piece    stream_end: whether it is the last
        """
        self.text_queue.put(text, timeout=self.timeout)
        if stream_end:
            self.text_queue.put(self.stop_signal, timeout=self.timeout)

    def __iter__(self) -> TextIteratorStreamer:
        return self

    def __next__(self) -> str:
        value = self.text_queue.get(timeout=self.timeout)
        if value is self.stop_signal or value is None:
            raise StopIteration
        return value


def _is_ideograph(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _IDEOGRAPHS)

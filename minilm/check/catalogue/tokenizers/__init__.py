"""The exercises of lesson 02 and the mistakes people make in them.

Every reference asks tokenizers or transformers, live. A mistake is a whole wrong answer, written as
readers write it; its reason says what that code does, then why it matters.
"""

from minilm.check.catalogue.tokenizers.batches import pad_rows, windows
from minilm.check.catalogue.tokenizers.byte_fallback import byte_pieces
from minilm.check.catalogue.tokenizers.chats import render_chat
from minilm.check.catalogue.tokenizers.special_tokens import (
    fill_template,
    split_on_tokens,
    without_special_tokens,
)
from minilm.check.catalogue.tokenizers.unigram import best_path, walk_back
from minilm.check.catalogue.tokenizers.wordpiece import split_wordpiece

EXERCISES = [
    split_wordpiece,
    best_path,
    walk_back,
    byte_pieces,
    split_on_tokens,
    fill_template,
    windows,
    pad_rows,
    without_special_tokens,
    render_chat,
]

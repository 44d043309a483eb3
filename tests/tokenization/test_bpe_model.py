import io
import json
import pydoc_data.topics
import random
import re

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from minilm.errors import InvalidInput, UnknownToken, WrongType
from minilm.tokenization import bpe, bpe_model
from minilm.tokenization.bpe_model import BPE

LETTERS = "abcé€😀"
ALL_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def section(vocab, merges, **fields):
    defaults = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
    }
    vocab = {token: i for i, token in enumerate(vocab)} if isinstance(vocab, list) else vocab
    return defaults | fields | {"vocab": vocab, "merges": merges}


@st.composite
def sections(draw):
    """Models of all kinds over a few letters, some of which are missing."""
    letters = draw(st.lists(st.sampled_from(LETTERS), min_size=1, max_size=5, unique=True))
    prefix = draw(st.sampled_from([None, None, None, "##", "@"]))
    suffix = draw(st.sampled_from([None, None, None, "</w>", "_"]))
    tokens = [*letters, *(prefix + letter for letter in letters if prefix)]
    tokens += [token + suffix for token in tokens if suffix and draw(st.booleans())]
    byte_fallback = draw(st.booleans())
    if byte_fallback:
        tokens += draw(st.sampled_from([ALL_BYTES, ALL_BYTES[::3], ALL_BYTES[:200]]))
    unknown = draw(st.sampled_from([None, "<unk>", "a", "<0xC3>"]))
    tokens = list(dict.fromkeys([*tokens, *([unknown] if unknown else [])]))
    merges = []
    mergeable = [token for token in tokens if not token.startswith("<")] or tokens
    for _ in range(draw(st.integers(0, 12))):
        left, right = draw(st.sampled_from(mergeable)), draw(st.sampled_from(mergeable))
        if prefix and not right.startswith(prefix):
            continue
        merged = left + right.removeprefix(prefix or "")
        if len(merged) <= 8:
            merges.append([left, right])
            if merged not in tokens:
                tokens.append(merged)
                mergeable.append(merged)
    return section(
        tokens,
        draw(st.permutations(merges)),
        dropout=draw(st.sampled_from([None, None, 0.0, 1.0])),
        unk_token=unknown,
        continuing_subword_prefix=prefix,
        end_of_word_suffix=suffix,
        fuse_unk=draw(st.booleans()),
        byte_fallback=byte_fallback,
        ignore_merges=draw(st.booleans()),
    )


def reference_encoding(data, word):
    encoding = Tokenizer.from_str(json.dumps({"version": "1.0", "model": data})).encode(word)
    return [(i, *span) for i, span in zip(encoding.ids, encoding.offsets, strict=True)]


@pytest.mark.parametrize("long", [24, 4])
def test_ids_and_offsets_are_those_of_tokenizers(long, monkeypatch):
    monkeypatch.setattr(bpe_model, "_LONG", long)

    @settings(max_examples=300)
    @given(sections(), st.lists(st.text(LETTERS + "x", max_size=70), max_size=3))
    def check(data, words):
        model = BPE.from_json(data)
        for word in words:
            expected = reference_encoding(data, word)
            assert model.encode(word) == [number for number, _, _ in expected]
            assert model.encode(word) == [number for number, _, _ in expected]  # remembered
            marked = data["continuing_subword_prefix"] or data["end_of_word_suffix"]
            if not (marked and data["byte_fallback"]):  # pieces of the marks: spans mean nothing
                assert model.encode_with_offsets(word) == expected

    check()


def test_byte_pieces_pass_in_front_of_a_waiting_unknown_token_as_in_tokenizers():
    data = section(
        ["<unk>", "a", "b", "<0xC3>", "<0xA9>"], [], unk_token="<unk>", byte_fallback=True
    )
    model = BPE.from_json(data)
    tokens = [model.id_to_token(number) for number in model.encode("acéb")]
    assert tokens == ["a", "<0xC3>", "<0xA9>", "<unk>", "b"]
    assert model.encode_with_offsets("acéb") == reference_encoding(data, "acéb")


def test_characters_vanish_without_an_unknown_token_and_their_neighbours_meet():
    model = BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")])
    assert model.encode("aéb") == [2]
    assert model.encode("é") == []
    assert model.encode_with_offsets("éab") == [(2, 0, 1)]  # too far left, as in tokenizers


def test_a_whole_text_is_cut_only_where_no_token_can_cross():
    vocab = ["▁", "a", "b", "▁a", "ab", "b▁", "<unk>"]
    data = section(vocab, [["▁", "a"], ["b", "▁"]], unk_token="<unk>", fuse_unk=True)
    model = BPE.from_json(data)
    for text in ("▁ab▁ab" * 30, "▁a" * 50, "xx" * 40 + "▁abx", "bx" * 50):
        assert model.encode_with_offsets(text) == reference_encoding(data, text)
    assert len(model._cut("▁aa▁a" * 20)) > 20


@pytest.mark.parametrize(
    ("pieces", "merge", "fields"),
    [
        # Merges that join a byte piece or the unknown token to a letter cross from one character
        # of the text to the next, though no token is spelled like these two characters.
        (ALL_BYTES, ["a", "<0xC3>"], {"byte_fallback": True}),
        (["<unk>"], ["a", "<unk>"], {"unk_token": "<unk>"}),
    ],
)
def test_a_text_is_not_cut_where_a_merge_joins_what_stands_for_a_character(pieces, merge, fields):
    data = section(["a", "b", *pieces, "".join(merge)], [merge], **fields)
    text = "abaé" * 20
    expected = reference_encoding(data, text)
    assert data["vocab"]["".join(merge)] in [number for number, _, _ in expected]
    assert BPE.from_json(data).encode_with_offsets(text) == expected
    assert BPE.from_json(data).encode(text) == [number for number, _, _ in expected]


@pytest.mark.parametrize(
    "fields", [{}, {"byte_fallback": True}, {"unk_token": "a"}, {"dropout": 0.3}]
)
def test_a_word_of_very_many_letters_costs_no_quadratic_time(fields):
    letters = random.Random(0).choices("abcd☃", k=200_000)
    vocab = ["a", "b", "c", "ab", "bc", "abab", "ca", *ALL_BYTES]
    model = BPE.from_json(
        section(vocab, [["a", "b"], ["ab", "ab"], ["b", "c"], ["c", "a"]], **fields)
    )
    text = "".join(letters)
    ids = model.encode(text)
    if model.is_random:
        assert len(ids) < 200_000
    else:
        assert [number for number, _, _ in model.encode_with_offsets(text)] == ids
    assert len(model._stretches) <= bpe_model._REMEMBERED


def test_merges_are_done_by_the_function_that_readers_write(monkeypatch):
    monkeypatch.setattr(bpe, "apply_merges", lambda symbols, ranks: tuple(reversed(symbols)))
    assert BPE({"a": 0, "b": 1}, []).encode("aab") == [1, 0, 0]


def test_dropout_encodes_at_random_by_its_own_source_and_is_written_back():
    vocab = {token: i for i, token in enumerate(["a", "b", "ab", "abab"])}
    model = BPE(vocab, [("a", "b"), ("ab", "ab")], dropout=0.5)
    assert model.is_random
    assert model.to_json()["dropout"] == 0.5
    model.random.seed(3)
    first = [model.encode("abab" * 4) for _ in range(30)]
    model.random.seed(3)
    assert [model.encode("abab" * 4) for _ in range(30)] == first
    assert len(set(map(tuple, first))) > 5
    tokens = [model.id_to_token(number) for number in first[0]]
    assert "".join(tokens) == "abab" * 4
    assert not BPE(vocab, [], dropout=0.0).is_random


def test_merges_are_read_in_both_forms_and_every_field_is_kept():
    fields = {"unk_token": "<unk>", "fuse_unk": True, "from_elsewhere": {"x": [1]}}
    pairs = section(["<unk>", "a", "b c", "ab c"], [["a", "b c"]], **fields)
    assert BPE.from_json(pairs).to_json() == pairs
    strings = section(["a", "b", "ab"], ["#version: 0.2", "a b"])
    assert BPE.from_json(strings).to_json() == section(["a", "b", "ab"], [["a", "b"]])
    assert BPE.from_json({"vocab": {"a": 0}, "merges": []}).to_json() == section(["a"], [])


def test_merges_take_up_no_strings_of_their_own():
    """Gemma has 580,604 merges of 256,000 tokens, and copies would double what it takes."""
    vocab = {"a": 0, "bc": 1, "abc": 2}
    own = {id(token) for token in vocab}
    for merges in (["a bc"], [["a", "".join(["b", "c"])]]):
        model = BPE.from_json({"vocab": vocab, "merges": merges})
        assert model.merges == [("a", "bc")]
        assert {id(token) for token in model.merges[0]} <= own


def test_tokens_and_ids_are_looked_up_both_ways():
    model = BPE({"a": 7, "b": 0}, [])
    assert (model.token_to_id("a"), model.token_to_id("c")) == (7, None)
    assert (model.id_to_token(7), model.id_to_token(1), model.id_to_token(-1)) == ("a", None, None)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (section(["a"], [["a", "z"]]), InvalidInput, "Merge 0, 'a' + 'z', needs the token 'z'"),
        (section(["a", "b"], ["a b"]), InvalidInput, "needs the token 'ab'"),
        (section(["a"], ["a  a"]), InvalidInput, "Merge 0 is 'a  a'"),
        (section(["a"], [["a"]]), InvalidInput, "Merge 0 is ['a']"),
        (section(["a"], [["a", 1]]), InvalidInput, "Merge 0"),
        (section(["a"], {"a": "a"}), WrongType, "'merges'"),
        (section({"a": 0, "b": 0}, []), InvalidInput, "both have the id 0"),
        (section({"a": True}, []), WrongType, "id of token 'a'"),
        (section(["a"], [], dropout=1.5), InvalidInput, "dropout is 1.5"),
        (section(["a"], [], unk_token=1), WrongType, "'unk_token'"),
        (section(["a"], [], fuse_unk="yes"), WrongType, "'fuse_unk'"),
        (section(["a"], [], merge_ranks=[1]), InvalidInput, "1 merge_ranks for 0 merges"),
        ({"type": "BPE", "merges": []}, InvalidInput, "no 'vocab'"),
        ({"type": "BPE", "vocab": {}}, InvalidInput, "no 'merges'"),
        (None, WrongType, "an object was expected"),
    ],
)
def test_bad_sections_are_refused_by_name(data, error, words):
    with pytest.raises(error, match=re.escape(words)):
        BPE.from_json(data)


def test_an_unknown_token_that_is_missing_is_named_when_it_is_needed():
    model = BPE({"a": 0}, [], unk_token="[X]")
    assert model.encode("a") == [0]
    with pytest.raises(UnknownToken, match=re.escape("'[X]'")):
        model.encode("b")


# SentencePiece: the score of a piece decides --------------------------------------------------


def of_sentencepiece(processor):
    """The processor's pieces as a BPE of ours."""
    pieces = range(processor.get_piece_size())
    vocab = {processor.id_to_piece(i): i for i in pieces}
    plain = [
        i
        for i in pieces
        if not (processor.is_control(i) or processor.is_unknown(i) or processor.is_byte(i))
    ]
    scores = {processor.id_to_piece(i): processor.get_score(i) for i in plain}
    has_bytes = any(map(processor.is_byte, pieces))
    return BPE.from_piece_scores(scores, vocab, byte_fallback=has_bytes), scores


@pytest.mark.parametrize(
    "options",
    [
        {"vocab_size": 700, "byte_fallback": True},
        {"vocab_size": 500, "split_by_whitespace": False},
        {"vocab_size": 400, "byte_fallback": True, "split_by_whitespace": False},
    ],
)
def test_trained_piece_scores_encode_as_in_sentencepiece(options):
    topics = list(pydoc_data.topics.topics.values())[:25]
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter("\n".join(topics).split("\n")),
        model_writer=written,
        model_type="bpe",
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        minloglevel=2,
        **options,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    model, _ = of_sentencepiece(processor)
    read_back = BPE.from_json(json.loads(json.dumps(model.to_json())))
    spaces = [" " * n + end for n in range(1, 40) for end in ("", "x", "if x:")]
    lines = [line for topic in topics for line in topic.split("\n") if line][:400]
    for text in [*spaces, *lines, "é 日本 \u200d ☃☃", "\t\x00"]:
        expected = processor.encode(text)
        symbols = "▁" + text.replace(" ", "▁")
        assert model.encode(symbols) == expected, text
        assert read_back.encode(symbols) == expected, text


@given(st.data())
def test_any_piece_scores_encode_as_in_sentencepiece(data):
    from sentencepiece import sentencepiece_model_pb2

    letters = data.draw(st.sampled_from(["▁", "▁a", "ab"]))
    pieces = data.draw(st.lists(st.text(letters, min_size=2, max_size=6), max_size=12, unique=True))
    pieces = [*letters, *pieces]
    scores = [float(-data.draw(st.integers(0, 8))) for _ in pieces]
    proto = sentencepiece_model_pb2.ModelProto()
    proto.trainer_spec.model_type = 2
    proto.normalizer_spec.add_dummy_prefix = False
    proto.normalizer_spec.remove_extra_whitespaces = False
    proto.pieces.add(piece="<unk>", score=0, type=2)
    for piece, score in zip(pieces, scores, strict=True):
        proto.pieces.add(piece=piece, score=score, type=1)
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    model, _ = of_sentencepiece(processor)
    for _ in range(3):
        symbols = data.draw(st.text(letters + "x", max_size=60))
        assert model.encode(symbols) == processor.encode(symbols.replace("▁", " "))


def test_of_pieces_with_one_score_the_leftmost_is_merged_which_no_list_of_merges_can_say():
    model = BPE.from_piece_scores({"a": 0.0, "b": 0.0, "ab": -1.0, "ba": -1.0}, unk_token=None)
    in_a_list = BPE(model.vocab, model.merges)
    assert [model.id_to_token(i) for i in model.encode("bab")] == ["ba", "b"]
    assert [model.id_to_token(i) for i in in_a_list.encode("bab")] == ["b", "ab"]

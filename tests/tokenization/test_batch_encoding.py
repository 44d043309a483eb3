"""A batch is a dict with attributes, becomes tensors, and finds its way back to the text only when asked."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy
import pytest

from minilm.errors import InvalidInput, MissingPackage
from minilm.tokenization import batching
from minilm.tokenization.batch_encoding import BatchEncoding, CharSpan, TokenSpan


def test_a_batch_is_a_dict_with_attributes(bert):
    batch = bert(["Hello world", "a"])
    assert list(batch) == ["input_ids", "token_type_ids", "attention_mask"]
    assert batch.input_ids is batch["input_ids"]
    assert isinstance(batch, Mapping) and dict(**batch) == dict(batch)
    assert "labels" not in batch and batch.get("labels") is None
    batch["labels"] = [1, 2]
    assert batch.labels == [1, 2]
    assert copy.copy(batch) == batch == copy.deepcopy(batch)
    assert not hasattr(batch, "no_such_column")


def test_encodings_are_made_when_first_asked_for(bert, monkeypatch):
    calls = []
    aligned_rows = batching.aligned_rows

    def watched(*arguments):
        calls.append(1)
        return aligned_rows(*arguments)

    monkeypatch.setattr(batching, "aligned_rows", watched)
    batch = bert(["Hello world", "a"], padding=True)
    assert not calls
    assert batch.is_fast and batch.n_sequences == 1 and not calls
    assert batch.tokens(1) == ["[CLS]", "a", "[SEP]"] + ["[PAD]"] * (len(batch.input_ids[1]) - 3)
    assert batch.word_ids(1)[1] == 0
    assert len(calls) == 1


def test_rows_and_slices(bert):
    batch = bert(["Hello world", "a", "b"])
    assert batch[0].ids == batch.input_ids[0]
    assert batch[-1].ids == batch.input_ids[2]
    assert [encoding.ids for encoding in batch[1:]] == batch.input_ids[1:]
    plain = BatchEncoding({"input_ids": [[1], [2], [3]]})
    assert plain[1:] == {"input_ids": [[2], [3]]}
    assert not plain.is_fast and plain.encodings is None and plain.n_sequences is None


def test_numbers_may_count_from_the_end(bert):
    text = "Hello world"
    batch = bert([text])
    last_word = batch.token_to_word(-2)
    assert last_word == 1
    assert batch.token_to_chars(0, -2).end == len(text)
    assert isinstance(batch.token_to_chars(1), CharSpan)
    assert isinstance(batch.word_to_tokens(1), TokenSpan)
    assert batch.word_to_chars(1) == CharSpan(6, 11)
    assert batch.token_to_chars(0) is None
    assert batch.word_to_tokens(9) is None and batch.word_to_chars(9) is None
    assert bert("a", "b").token_to_sequence(-2) == 1


def test_columns_become_tensors():
    torch = pytest.importorskip("torch")
    batch = BatchEncoding({"input_ids": [1, 2]}, tensor_type="np", prepend_batch_axis=True)
    assert batch.input_ids.shape == (1, 2)
    batch = BatchEncoding({"input_ids": [[1, 2]], "values": [[0.5, 1.0]]})
    assert batch.convert_to_tensors("pt") is batch
    assert batch.input_ids.dtype == torch.int64 and batch["values"].dtype == torch.float32
    before = batch.input_ids
    assert batch.convert_to_tensors("pt").input_ids is before
    arrays = BatchEncoding({"x": [numpy.ones(2), numpy.zeros(2)]}, tensor_type="pt")
    assert arrays.x.tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert BatchEncoding({"input_ids": [[]]}, tensor_type="pt").input_ids.dtype == torch.int64
    assert BatchEncoding({"input_ids": [[]]}, tensor_type="np").input_ids.dtype == numpy.int64


def test_what_is_no_number_becomes_no_tensor():
    for column in ([["a"]], [[None]], [{"a": 1}]):
        with pytest.raises(InvalidInput, match="cannot become a tensor"):
            BatchEncoding({"input_ids": column}, tensor_type="pt")


def test_tensors_move_to_a_device(bert):
    torch = pytest.importorskip("torch")
    batch = bert("Hello", return_tensors="pt")
    batch["names"] = ["x"]
    assert batch.to("cpu") is batch
    assert batch.to(torch.device("meta")).input_ids.device.type == "meta"
    assert batch["names"] == ["x"]
    with pytest.raises(TypeError, match="device"):
        batch.to(1.5)


def test_constants_of_transformers_are_understood(bert):
    transformers = pytest.importorskip("transformers")
    utils = transformers.utils
    batch = bert(["a", "Hello world"], padding=utils.PaddingStrategy.LONGEST)
    assert len(set(map(len, batch.input_ids))) == 1
    tensors = bert("a", return_tensors=utils.TensorType.NUMPY)
    assert isinstance(tensors.input_ids, numpy.ndarray)
    strategy = transformers.tokenization_utils_base.TruncationStrategy.ONLY_FIRST
    assert len(bert("Hello there world", truncation=strategy, max_length=4).input_ids) == 4


def test_tensors_without_torch_say_what_to_do(bert, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingPackage, match="return_tensors='np'"):
        bert("Hello", return_tensors="pt")
    with pytest.raises(MissingPackage, match="Install torch"):
        bert("Hello").to("cpu")
    assert bert("Hello", return_tensors="np").input_ids.shape[0] == 1

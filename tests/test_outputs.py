"""What models return: by name, as a mapping, as a tuple, as transformers' outputs are."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from minilm.errors import MinilmError
from minilm.outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

transformers = pytest.importorskip("transformers")
LOGITS, LOSS = torch.arange(6.0).reshape(1, 2, 3), torch.tensor(1.5)


@pytest.fixture(params=["minilm", "transformers"])
def output(request):
    """The same output of either library: every test here holds for both."""
    kind = CausalLMOutputWithPast
    if request.param == "transformers":
        kind = transformers.modeling_outputs.CausalLMOutputWithPast
    return kind(loss=LOSS, logits=LOGITS, hidden_states=(LOGITS, LOGITS))


def test_results_are_found_by_name_and_by_place(output):
    assert output.loss is output["loss"] is output[0] is LOSS
    assert output.logits is output["logits"] is output[1] is output[-2] is LOGITS
    assert output[2] == output[-1] == (LOGITS, LOGITS)
    assert output[:2] == (LOSS, LOGITS)
    with pytest.raises(IndexError):
        output[3]


def test_what_was_not_computed_is_none_or_absent(output):
    assert output.attentions is output.past_key_values is None
    assert list(output) == list(output.keys()) == ["loss", "logits", "hidden_states"]
    assert len(output) == len(output.to_tuple()) == len(list(output.items())) == 3
    assert "loss" in output
    assert "attentions" not in output
    assert output.get("attentions") is None
    assert output.get("attentions", 5) == 5
    with pytest.raises(KeyError):
        output["attentions"]
    with pytest.raises(KeyError):
        output["banana"]


def test_an_output_is_a_mapping_that_can_be_unpacked(output):
    assert list({**output}) == ["loss", "logits", "hidden_states"]
    assert [*output.values()][1] is LOGITS
    loss, logits, _ = output.to_tuple()
    assert (loss is LOSS) & (logits is LOGITS)


def test_an_attribute_can_be_set(output):
    output.attentions = (LOGITS,)
    assert output["attentions"] == (LOGITS,)
    assert list(output)[-1] == "attentions"
    assert len(output) == 4


def test_an_output_survives_copying_and_pickling(output):
    for again in (copy.deepcopy(output), pickle.loads(pickle.dumps(output))):
        assert list(again) == list(output)
        assert torch.equal(again.logits, LOGITS)


def test_missing_results_are_explained():
    output = CausalLMOutputWithPast(logits=LOGITS)
    with pytest.raises(
        KeyError, match="hidden_states was not computed; the output has logits"
    ) as e:
        output["hidden_states"]
    assert isinstance(e.value, MinilmError)
    with pytest.raises(KeyError, match="has no 'banana'; it may have loss, logits"):
        output["banana"]


def test_an_output_equals_itself_alone():
    one, other = CausalLMOutputWithPast(logits=LOGITS), CausalLMOutputWithPast(logits=LOGITS)
    assert one == one
    assert one != other
    assert len({one, other}) == 2
    assert "logits=tensor" in repr(one)


def test_results_stand_in_transformers_order():
    for kind in (BaseModelOutputWithPast, CausalLMOutputWithPast):
        their_kind = getattr(transformers.modeling_outputs, kind.__name__)
        names = list(their_kind.__dataclass_fields__)
        assert list(kind.__dataclass_fields__) == names
        values = [torch.tensor(float(i)) for i in range(len(names))]
        assert list(kind(*values)) == list(their_kind(*values)) == names

"""What tokens that have been written scored."""

from __future__ import annotations

import pytest
import torch

from minilm.errors import InvalidInput

transformers = pytest.importorskip("transformers")

HOW = {"max_new_tokens": 5, "return_dict_in_generate": True, "output_scores": True}
WAYS = {
    "greedy": {},
    "drawn": {"do_sample": True, "top_k": 0},
    "several": {"do_sample": True, "num_return_sequences": 3, "temperature": 0.7, "top_k": 0},
    "beams": {"num_beams": 3, "num_return_sequences": 2, "length_penalty": 0.5},
    "beams that end": {"num_beams": 3, "num_return_sequences": 3, "eos_token_id": [3, 4, 5, 6]},
}


@pytest.mark.parametrize("normalize_logits", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_each_token_has_the_score_that_it_has_in_transformers(pair, prompts, way, normalize_logits):
    found = []
    ids, mask = prompts(2, 4, [1, 0])
    for model in pair("llama"):
        torch.manual_seed(0)
        output = model.generate(ids, attention_mask=mask, pad_token_id=18, **HOW, **WAYS[way])
        scores = model.compute_transition_scores(
            output.sequences,
            output.scores,
            output.get("beam_indices"),
            normalize_logits=normalize_logits,
        )
        found.append(scores)
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)
    assert found[0].shape[0] == len(output.sequences)


def test_the_scores_of_a_beam_add_up_to_its_own(pair, prompts):
    ours, _ = pair("gpt2")
    ids, mask = prompts(2, 4, [1, 0])
    more = {"num_beams": 3, "num_return_sequences": 2, "length_penalty": 2.0}
    output = ours.generate(ids, attention_mask=mask, pad_token_id=18, **HOW, **more)
    scores = ours.compute_transition_scores(
        output.sequences, output.scores, output.beam_indices
    )  # (B, M)
    torch.testing.assert_close(scores.sum(dim=1) / 5**2.0, output.sequences_scores)


def test_without_scores_it_is_said_how_to_get_them(pair, prompts):
    ours, _ = pair("gpt2")
    with pytest.raises(InvalidInput, match="output_scores=True"):
        ours.compute_transition_scores(prompts(1, 4)[0], None)

"""Lesson 04's catalogue: its references worked by hand, and answers that are in no list."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minilm.check import catalogue, installing, judging, messages
from minilm.check.catalogue import masks as lesson
from minilm.check.parameters import fit

EXERCISES = catalogue.all_exercises()
INF = math.inf


def verdict(name, answer):
    exercise = EXERCISES[name]
    return judging.judge(exercise, fit(answer, installing.own(exercise))[0])


def bools(rows) -> list:
    return torch.tensor(rows).bool().tolist()


# --- the references, worked by hand ------------------------------------------------------------

BY_HAND = [
    ("causal_mask", {"query_length": 3, "key_length": 3}, bools([[1, 0, 0], [1, 1, 0], [1, 1, 1]])),
    ("causal_mask", {"query_length": 2, "key_length": 4}, bools([[1, 1, 1, 0], [1, 1, 1, 1]])),
    ("causal_mask", {"query_length": 1, "key_length": 3}, bools([[1, 1, 1]])),
    (
        "padding_mask",
        {"attention_mask": torch.tensor([[0.0, 1.0], [1.0, 1.0]])},
        bools([[[[0, 1]]], [[[1, 1]]]]),
    ),
    (
        "sliding_window_mask",
        {"query_length": 3, "key_length": 3, "window": 2},
        bools([[1, 1, 1], [1, 1, 1], [0, 1, 1]]),
    ),
    (
        "sliding_window_mask",
        {"query_length": 2, "key_length": 4, "window": 1},
        bools([[0, 0, 1, 1], [0, 0, 0, 1]]),
    ),
    (
        "prefix_mask",
        {"query_length": 3, "key_length": 3, "prefix_length": 2},
        bools([[1, 1, 0], [1, 1, 0], [1, 1, 1]]),
    ),
    (
        "prefix_mask",
        {"query_length": 2, "key_length": 4, "prefix_length": torch.tensor([4, 0])},
        bools([[[[1, 1, 1, 1], [1, 1, 1, 1]]], [[[1, 1, 1, 0], [1, 1, 1, 1]]]]),
    ),
    (
        "document_ids_from_positions",
        {"position_ids": torch.tensor([[0, 1, 0, 0, 2], [3, 4, 5, 0, 1]])},
        [[0, 0, 1, 2, 3], [0, 0, 0, 1, 1]],
    ),
    (
        "document_mask",
        {"document_ids": torch.tensor([[0, 0, 1]]), "query_length": 2},
        bools([[[[1, 1, 0], [0, 0, 1]]]]),
    ),
    (
        "mask_to_scores",
        {"may_attend": torch.tensor([[True, False]]), "dtype": torch.float16},
        [[0.0, -INF]],
    ),
]


@pytest.mark.parametrize(("name", "case", "expected"), BY_HAND)
def test_a_reference_agrees_with_a_case_worked_by_hand(name, case, expected):
    answer = EXERCISES[name].reference(**case)
    assert answer.tolist() == expected
    assert answer.dtype == case.get("dtype", answer.dtype)


def test_the_cases_hold_what_hides_bugs():
    def cases(exercise):
        return exercise.draw_cases()

    pairs = {(case["query_length"], case["key_length"]) for case in cases(lesson.CAUSAL_MASK)}
    assert (1, 1) in pairs
    assert any(t == 1 < s for t, s in pairs)
    assert any(1 < t < s for t, s in pairs)
    windows = cases(lesson.SLIDING_WINDOW_MASK)
    assert {case["window"] >= case["key_length"] for case in windows} == {True, False}
    rows = [case["attention_mask"] for case in cases(lesson.PADDING_MASK)]
    assert {row.dtype for row in rows} == {torch.int32, torch.int64, torch.float32, torch.bool}
    assert any(len(row) == 1 for row in rows)
    assert any((~row.bool().any(-1)).any() for row in rows), "a row of nothing but padding"
    assert any(row.shape[0] == row.shape[1] for row in rows)
    shapes = [case["may_attend"] for case in cases(lesson.MASK_TO_SCORES)]
    assert any((~mask.any(-1)).any() for mask in shapes)
    assert {case.get("dtype") for case in cases(lesson.MASK_TO_SCORES)} >= {
        None,
        torch.float16,
        torch.bfloat16,
        torch.float64,
    }


def test_the_catalogues_load_without_torch():
    script = (
        "import sys; from minilm.check.catalogue import masks; "
        "assert len(masks.EXERCISES) == 7; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- right answers that are in no list -----------------------------------------------------------


def causal_by_torchs_own(query_length, key_length, device=None):
    square = torch.nn.Transformer.generate_square_subsequent_mask(key_length, device=device)
    return (square == 0)[key_length - query_length :]


def causal_by_two_halves(T, S, device=None):
    past = torch.ones(T, S - T, dtype=torch.bool, device=device)
    return torch.cat([past, torch.ones(T, T, device=device).tril().bool()], dim=1)


def causal_by_numpy(rows, columns, device=None):
    return torch.from_numpy(np.tri(rows, columns, columns - rows, dtype=bool)).to(device)


def causal_item_by_item(query_length, key_length, device=None):
    mask = torch.zeros((query_length, key_length), device=device) != 0
    for i in torch.arange(query_length):
        for j in range(key_length):
            if j - (key_length - query_length) <= i:
                mask[i, j] = True
    return mask


def causal_that_reads_its_own_numbers(query_length, key_length, device=None):
    places = torch.arange(key_length, device=device)
    rows = [[bool(k <= q) for k in places] for q in places[key_length - query_length :]]
    return torch.tensor(rows, device=device)


def causal_by_cumsum(query_length, key_length, device=None):
    first = torch.zeros(query_length, key_length, dtype=torch.long, device=device)
    for row in range(query_length):
        first[row, min(key_length - query_length + row + 1, key_length - 1)] += (
            row + 1 < query_length
        )
    return first.cumsum(1) < 1


def padding_by_eq(mask):
    return mask.eq(1)[:, None, None]


def padding_by_rows(attention_mask):
    return torch.stack([row.bool()[None, None] for row in attention_mask])


def padding_by_expanding(attention_mask):
    batch_size, length = attention_mask.shape
    return attention_mask.to(torch.bool).expand(1, 1, batch_size, length).permute(2, 0, 1, 3)


def window_by_subtracting_triangles(query_length, key_length, window, device=None):
    ones = torch.ones(query_length, key_length, dtype=torch.bool, device=device)
    return ones & ~ones.tril(key_length - query_length - window)


def window_by_distance(query_length, key_length, window, device=None):
    back = (
        torch.arange(query_length)[:, None] + key_length - query_length - torch.arange(key_length)
    )
    return (back.clamp(min=0) <= window - 1).to(device)


def prefix_by_filling(query_length, key_length, prefix_length, device=None):
    causal = causal_by_two_halves(query_length, key_length, device)
    if not torch.is_tensor(prefix_length):
        causal[:, :prefix_length] = True
        return causal
    masks = causal.repeat(len(prefix_length), 1, 1)
    for mask, length in zip(masks, prefix_length.tolist(), strict=True):
        mask[:, :length] = True
    return masks[:, None]


def prefix_by_the_larger_of_two(query_length, key_length, prefix_length, device=None):
    last = torch.arange(key_length - query_length, key_length, device=device)[:, None]
    if isinstance(prefix_length, torch.Tensor):
        prefix_length = prefix_length.view(-1, 1, 1, 1)
    else:
        prefix_length = torch.tensor(prefix_length, device=device)
    return torch.arange(key_length, device=device) < torch.maximum(last + 1, prefix_length)


def ids_by_numpy(position_ids):
    steps = np.diff(position_ids.numpy(), axis=1)
    counts = np.cumsum(np.insert(steps != 1, 0, False, axis=1), axis=1)
    return torch.as_tensor(counts, dtype=torch.int64)


def ids_by_groups(position_ids):
    rows = []
    for row in position_ids.tolist():
        starts = [place - position for place, position in enumerate(row)]
        groups = [len(list(group)) for _, group in itertools.groupby(starts)]
        rows.append([number for number, size in enumerate(groups) for _ in range(size)])
    return torch.tensor(rows)


def documents_by_one_hot(document_ids, query_length=None):
    names = F.one_hot(document_ids)  # (B, S, documents)
    queries = names if query_length is None else names[:, -query_length:]
    return (queries @ names.mT > 0)[:, None]


def documents_by_loops(ids, query_length=None):
    size = ids.shape[1]
    rows = range(size - (query_length or size), size)
    return torch.tensor([[[[a == row[q] for a in row] for q in rows]] for row in ids.tolist()])


def scores_by_full_like(may_attend, dtype=torch.float32):
    return torch.full_like(may_attend, -INF, dtype=dtype).masked_fill(may_attend, 0)


def scores_by_numpy(may_attend, dtype=torch.float32):
    return torch.from_numpy(np.where(may_attend.numpy(), 0.0, -np.inf)).to(dtype)


def scores_through_double(may_attend, dtype=torch.float32):
    return torch.log(may_attend.double()).to(dtype)


RIGHT = [
    ("causal_mask", causal_by_torchs_own),
    ("causal_mask", causal_by_two_halves),
    ("causal_mask", causal_by_numpy),
    ("causal_mask", causal_item_by_item),
    ("causal_mask", causal_that_reads_its_own_numbers),
    ("causal_mask", causal_by_cumsum),
    ("padding_mask", padding_by_eq),
    ("padding_mask", padding_by_rows),
    ("padding_mask", padding_by_expanding),
    ("sliding_window_mask", window_by_subtracting_triangles),
    ("sliding_window_mask", window_by_distance),
    ("prefix_mask", prefix_by_filling),
    ("prefix_mask", prefix_by_the_larger_of_two),
    ("document_ids_from_positions", ids_by_numpy),
    ("document_ids_from_positions", ids_by_groups),
    ("document_mask", documents_by_one_hot),
    ("document_mask", documents_by_loops),
    ("mask_to_scores", scores_by_full_like),
    ("mask_to_scores", scores_by_numpy),
    ("mask_to_scores", scores_through_double),
]


@pytest.mark.parametrize(
    ("name", "answer"), RIGHT, ids=lambda value: getattr(value, "__name__", value)
)
def test_nobody_is_falsely_accused(name, answer):
    found = verdict(name, answer)
    assert found.right, messages.wrong(found, answer)


# --- wrong answers that are in no list -------------------------------------------------------------


def tril_of_floats(query_length, key_length, device=None):
    return torch.tril(torch.ones(query_length, key_length), diagonal=key_length - query_length)


def the_classic_inverted_square(query_length, key_length, device=None):
    return torch.triu(torch.ones(key_length, key_length), diagonal=1).bool()


def a_leaking_square(query_length, key_length, device=None):
    return torch.tril(torch.ones(key_length, key_length), diagonal=1).bool()


def greater_instead_of_at_least(query_length, key_length, device=None):
    query = torch.arange(query_length)[:, None] + key_length - query_length
    return query > torch.arange(key_length)


def queries_first(query_length, key_length, device=None):
    query = torch.arange(query_length, device=device)[:, None]
    return query >= torch.arange(key_length, device=device)


def the_sides_exchanged(query_length, key_length, device=None):
    query = torch.arange(key_length - query_length, key_length, device=device)[:, None]
    return query <= torch.arange(key_length, device=device)


def pytorchs_own_scores(query_length, key_length, device=None):
    square = torch.nn.Transformer.generate_square_subsequent_mask(key_length, device=device)
    return square[-query_length:]


def zeros_are_real(attention_mask):
    return (attention_mask == 0).unsqueeze(1).unsqueeze(1)


def berts_first_code(attention_mask):
    extended = attention_mask.unsqueeze(1).unsqueeze(2).to(torch.float32)
    return (1.0 - extended) * -10000.0


def outer_product(attention_mask):
    m = attention_mask.bool()
    return m.unsqueeze(1).unsqueeze(2) & m.unsqueeze(1).unsqueeze(3)


def window_counted_without_itself(query_length, key_length, window, device=None):
    ones = torch.ones(query_length, key_length, device=device)
    return ones.triu(key_length - query_length - window).bool()


def window_that_is_causal(query_length, key_length, window, device=None):
    q = torch.arange(key_length - query_length, key_length, device=device).unsqueeze(1)
    k = torch.arange(key_length, device=device).unsqueeze(0)
    return (k <= q) & (k > q - window)


def window_like_longformer(query_length, key_length, window, device=None):
    q = torch.arange(query_length)[:, None] + (key_length - query_length)
    return torch.abs(q - torch.arange(key_length)) <= window // 2


def a_slice_of_the_prefix(query_length, key_length, prefix_length, device=None):
    mask = torch.ones(query_length, key_length, device=device).tril(key_length - query_length) > 0
    mask[:, :prefix_length] = True
    return mask


def one_too_many_and_no_tensors(query_length, key_length, prefix_length, device=None):
    mask = causal_by_two_halves(query_length, key_length, device)
    return mask | (torch.arange(key_length) <= prefix_length)


def a_comparison_as_it_comes(query_length, key_length, prefix_length, device=None):
    mask = causal_by_two_halves(query_length, key_length, device)
    return mask | (torch.arange(key_length, device=device) < prefix_length)


def both_needed(query_length, key_length, prefix_length, device=None):
    if torch.is_tensor(prefix_length):
        prefix_length = prefix_length[:, None, None, None]
    causal = causal_by_two_halves(query_length, key_length, device)
    return causal & (torch.arange(key_length, device=device) < prefix_length)


def only_the_question(query_length, key_length, prefix_length, device=None):
    if torch.is_tensor(prefix_length):
        prefix_length = prefix_length[:, None, None, None]
    return torch.arange(key_length, device=device) < prefix_length


def zeros_counted(position_ids):
    return torch.cumsum((position_ids == 0).int(), dim=1)


def padded_steps(position_ids):
    steps = F.pad(position_ids.diff(dim=-1), (1, 0))
    return (steps != 1).cumsum(-1)


def differences_left_as_they_are(position_ids):
    before = F.pad(position_ids[:, :-1], (1, 0), value=-1)
    return (position_ids != before + 1).long()


def smaller_than_before(position_ids):
    new = position_ids[:, 1:] <= position_ids[:, :-1]
    return F.pad(new.cumsum(-1), (1, 0))


def earlier_documents_too(document_ids, query_length=None):
    first = 0 if query_length is None else -query_length
    return document_ids[:, None, first:, None] >= document_ids[:, None, None, :]


def three_dimensions(document_ids, query_length=None):
    same = document_ids.unsqueeze(-1) == document_ids.unsqueeze(-2)
    return same if query_length is None else same[:, -query_length:]


def a_half_infinite_multiplication(may_attend, dtype=torch.float32):
    return (1 - may_attend.to(dtype)) * float("-inf")


def a_billion(may_attend, dtype=torch.float32):
    return torch.where(may_attend, 0.0, -1e9).to(dtype)


def filled_where_true(may_attend, dtype=torch.float32):
    return torch.zeros(may_attend.shape, dtype=dtype).masked_fill(may_attend, -INF)


def eager_transformers(may_attend, dtype=torch.float32):
    return torch.where(may_attend, torch.zeros((), dtype=dtype), torch.finfo(dtype).min)


def boolean_zeros(may_attend, dtype=torch.float32):
    return torch.zeros_like(may_attend).masked_fill(~may_attend, float("-inf"))


def where_with_plain_numbers(may_attend, dtype=torch.float32):
    return torch.where(may_attend, 0.0, -INF)


def a_slice_that_begins_before_the_row(query_length, key_length, window, device=None):
    mask = torch.ones(query_length, key_length, device=device) == 1
    for row in range(query_length):
        mask[row, : key_length - query_length + row - window + 1] = False
    return mask


def a_band_of_a_decoder_one_too_wide(query_length, key_length, window, device=None):
    q = torch.arange(key_length - query_length, key_length, device=device)[:, None]
    k = torch.arange(key_length, device=device)
    return (k <= q) & (q - k <= window)


def one_or_the_other(query_length, key_length, prefix_length, device=None):
    if torch.is_tensor(prefix_length):
        prefix_length = prefix_length[:, None, None, None]
    causal = causal_by_two_halves(query_length, key_length, device)
    return causal ^ (torch.arange(key_length, device=device) < prefix_length)


def greater_than_the_prefix(query_length, key_length, prefix_length, device=None):
    if torch.is_tensor(prefix_length):
        prefix_length = prefix_length[:, None, None, None]
    causal = causal_by_two_halves(query_length, key_length, device)
    return causal | (torch.arange(key_length, device=device) > prefix_length)


def the_first_rows_prefix(query_length, key_length, prefix_length, device=None):
    if torch.is_tensor(prefix_length):
        mask = prefix_by_filling(query_length, key_length, int(prefix_length[0]), device)
        return mask.expand(len(prefix_length), 1, -1, -1)
    return prefix_by_filling(query_length, key_length, prefix_length, device)


def a_result_thrown_away(may_attend, dtype=torch.float32):
    scores = torch.zeros(may_attend.shape, dtype=dtype)
    scores.masked_fill(~may_attend, -INF)
    return scores


NAMED = [
    ("causal_mask", tril_of_floats, "ones and zeros as floats"),
    ("causal_mask", the_classic_inverted_square, "says what is hidden"),
    ("causal_mask", a_leaking_square, "sees the next token"),
    ("causal_mask", greater_instead_of_at_least, "does not see itself"),
    ("causal_mask", queries_first, "forgets the cache"),
    ("causal_mask", the_sides_exchanged, "sees itself and the future"),
    ("causal_mask", pytorchs_own_scores, "returns scores"),
    ("causal_mask", lambda T, S, device=None: torch.ones(T, S).tril(S - T).int(), None),
    ("padding_mask", zeros_are_real, "says what is hidden"),
    ("padding_mask", berts_first_code, "returns the scores of old BERT code"),
    ("padding_mask", outer_product, "hides padding's queries as well"),
    ("padding_mask", lambda m: m[:, None, None, :].bool().float(), "ones and zeros"),
    ("padding_mask", lambda m: m.bool().unsqueeze(1), "lacks the dimension of heads"),
    ("sliding_window_mask", window_counted_without_itself, "one key too many"),
    ("sliding_window_mask", window_that_is_causal, "hides the future as well"),
    ("sliding_window_mask", window_like_longformer, "centres the window"),
    (
        "sliding_window_mask",
        a_slice_that_begins_before_the_row,
        "counts from the end of the row",
    ),
    (
        "sliding_window_mask",
        a_band_of_a_decoder_one_too_wide,
        "hides the future as well, and shows one key too many",
    ),
    ("prefix_mask", one_or_the_other, "wants exactly one of the two"),
    ("prefix_mask", greater_than_the_prefix, "frees what is behind the prefix"),
    ("prefix_mask", the_first_rows_prefix, "gives all rows the first row's prefix"),
    (
        "prefix_mask",
        lambda t, s, prefix, device=None: prefix_by_filling(
            t, s, int(prefix[0]) if torch.is_tensor(prefix) else prefix, device
        ),
        "takes the first row's prefix for a number",
    ),
    ("prefix_mask", a_slice_of_the_prefix, "knows one prefix for all rows"),
    ("prefix_mask", one_too_many_and_no_tensors, "one token too many"),
    ("prefix_mask", a_comparison_as_it_comes, "lays the rows' prefixes along the keys"),
    ("prefix_mask", both_needed, "wants both at once"),
    ("prefix_mask", only_the_question, "leaves the order out"),
    (
        "document_ids_from_positions",
        zeros_counted,
        "begins a document at every zero, and counts from one",
    ),
    ("document_ids_from_positions", padded_steps, "counts from one"),
    ("document_ids_from_positions", smaller_than_before, "a gap is no border"),
    (
        "document_ids_from_positions",
        differences_left_as_they_are,
        "marks borders and does not count",
    ),
    ("document_mask", earlier_documents_too, "sees earlier documents too"),
    (
        "document_mask",
        lambda ids, n=None: ids[:, None, 0 if n is None else -n :, None] <= ids[:, None, None],
        "sees later documents too",
    ),
    ("document_mask", three_dimensions, "lacks the dimension of heads"),
    ("mask_to_scores", a_result_thrown_away, "hides nothing"),
    ("mask_to_scores", a_half_infinite_multiplication, "zero times infinity"),
    ("mask_to_scores", a_billion, "stops at minus a billion"),
    ("mask_to_scores", filled_where_true, "hides what may be seen"),
    ("mask_to_scores", eager_transformers, "stops at the lowest finite number"),
    ("mask_to_scores", boolean_zeros, "stays boolean"),
    ("mask_to_scores", where_with_plain_numbers, "always float32"),
    (
        "mask_to_scores",
        lambda m, dtype=torch.float32: m * -INF,
        "zero times infinity, the other way",
    ),
]


@pytest.mark.parametrize(
    ("name", "answer", "mistake"), NAMED, ids=[f"{row[0]}: {row[2]}" for row in NAMED]
)
def test_the_mistake_that_is_named_is_the_one_that_was_made(name, answer, mistake):
    found = verdict(name, answer)
    assert not found.right
    assert (found.mistake.name if found.mistake else None) == mistake


def test_an_answer_that_ignores_the_device_is_told_so_and_the_word_meta_explained():
    def causal_mask(query_length, key_length, device=None):
        return torch.ones(query_length, key_length).bool().tril(key_length - query_length)

    found = verdict("causal_mask", causal_mask)
    message = messages.wrong(found, causal_mask)
    assert found.wrong == [found.shown]
    assert "`meta` stands for such a device" in message
    assert "device=device" in message


def test_an_answer_that_heeds_the_device_for_one_of_its_two_tensors_is_wrong():
    """A tensor of the graphics card and one of the processor do not meet, whatever is done to them."""

    def prefix_mask(query_length, key_length, prefix_length, device=None):
        if torch.is_tensor(prefix_length):
            prefix_length = prefix_length[:, None, None, None]
        causal = causal_by_two_halves(query_length, key_length, device)
        return causal | (torch.arange(key_length) < prefix_length)

    def sliding_window_mask(query_length, key_length, window, device=None):
        query = torch.arange(key_length - query_length, key_length, device=device)[:, None]
        return query - torch.arange(key_length) < window

    for answer in (prefix_mask, sliding_window_mask):
        found = verdict(answer.__name__, answer)
        assert found.wrong == [found.shown]
        assert "device=device" in messages.wrong(found, answer)

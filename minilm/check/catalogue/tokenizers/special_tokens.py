"""Mistakes in cutting special tokens out of a text, putting them round ids, and dropping them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from minilm.check.exercise import Case, Exercise, Mistake

LESSON = "02_tokenizers"


def split_on_tokens_cases(draw: random.Random) -> list[Case]:
    """Tokens at the ends, side by side, inside one another, overlapping, full of regex signs."""
    chat = ["<s>", "</s>", "<s>x"]
    cases = [
        {"text": "<s>", "tokens": ["<s>"]},
        {"text": "hi", "tokens": ["<s>"]},
        {"text": "hi", "tokens": []},
        {"text": "a<s>b", "tokens": ["<s>"]},
        {"text": " <s> ", "tokens": ["<s>"]},
        {"text": "<s><s>", "tokens": ["<s>"]},
        {"text": "a<S>b", "tokens": ["<s>"]},
        {"text": "a.b a+b axb", "tokens": ["a.b", "a+b"]},
        {"text": "[CLS] C", "tokens": ["[CLS]"]},
        {"text": "one|two", "tokens": ["|"]},
        {"text": "<s>xy", "tokens": chat},
        {"text": "abcd", "tokens": ["ab", "bcd"]},
        {"text": "abcd", "tokens": ["bcd", "ab"]},
        {"text": "the<pad>m", "tokens": ["<pad>", "them"]},
        {"text": "", "tokens": ["<s>"]},
    ]
    names = ["ab", "abc", "bc", "ca", "b.", "(", "a|c", "[c]", "cab*", "aa"]
    for _ in range(26):
        tokens = draw.sample(names, k=draw.randint(1, 4))
        parts = [*tokens, *tokens, "a", "b", "c", " ", "aa", "ca", "."]
        text = "".join(draw.choices(parts, k=draw.randint(1, 6)))
        cases.append({"text": text, "tokens": tokens})
    return cases


def split_on_tokens_reference(text: str, tokens: list[str]) -> list[tuple[str, bool]]:
    """Ask tokenizers to cut the text at added tokens; what lies between becomes one unknown token."""
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.models import WordLevel

    tokenizer = Tokenizer(WordLevel({"\0unknown": 0}, unk_token="\0unknown"))
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in tokens])
    encoding = tokenizer.encode(text)
    spans = zip(encoding.offsets, encoding.ids, strict=True)
    return [(text[start:end], token_id > 0) for (start, end), token_id in spans]


def _cut(text: str, pattern: str, tokens: Iterable[str], flags: int = 0) -> list[tuple[str, bool]]:
    """Cut a text with a regular expression that has one group; drop empty pieces."""
    parts = re.split(f"({pattern})", text, flags=flags)
    return [(part, index % 2 == 1) for index, part in enumerate(parts) if part]


def _alternatives(tokens: Iterable[str], longest_first: bool = True) -> str:
    ordered = sorted(tokens, key=len, reverse=True) if longest_first else tokens
    return "|".join(map(re.escape, ordered)) or r"(?!)"


def _first_listed(text, tokens):
    return _cut(text, _alternatives(tokens, longest_first=False), tokens)


def _not_escaped(text, tokens):
    pieces, end = [], 0
    for match in re.finditer("|".join(sorted(tokens, key=len, reverse=True)) or r"(?!)", text):
        if match.start() > end:
            pieces.append((text[end : match.start()], False))
        if match[0]:
            pieces.append((match[0], True))
        end = match.end()
    return [*pieces, (text[end:], False)] if text[end:] else pieces


def _joined_as_they_are(text, tokens):
    parts = re.split("(" + "|".join(tokens) + ")", text)
    return [(part, part in tokens) for part in parts if part]


def _keeps_empty_pieces(text, tokens):
    parts = re.split(f"({_alternatives(tokens)})", text)
    return [(part, index % 2 == 1) for index, part in enumerate(parts)]


def _drops_the_tokens(text, tokens):
    return [
        (part, is_token)
        for part, is_token in _cut(text, _alternatives(tokens), tokens)
        if not is_token
    ]


def _drops_the_text(text, tokens):
    return [
        (part, is_token) for part, is_token in _cut(text, _alternatives(tokens), tokens) if is_token
    ]


def _drops_spaces(text, tokens):
    pieces = _cut(text, _alternatives(tokens), tokens)
    return [(part, is_token) for part, is_token in pieces if part.strip()]


def _strips_the_pieces(text, tokens):
    pieces = _cut(text, _alternatives(tokens), tokens)
    return [(part.strip(), is_token) for part, is_token in pieces if part.strip()]


def _one_token_after_the_other(text: str, tokens: Iterable[str]) -> list[tuple[str, bool]]:
    pieces = [(text, False)] if text else []
    for token in tokens:
        cut: list[tuple[str, bool]] = []
        for piece, is_token in pieces:
            cut.extend([(piece, True)] if is_token else _cut(piece, re.escape(token), tokens))
        pieces = cut
    return pieces


def _in_listed_order(text, tokens):
    return _one_token_after_the_other(text, tokens)


def _longest_token_anywhere(text, tokens):
    return _one_token_after_the_other(text, sorted(tokens, key=len, reverse=True))


def _first_place_only(text, tokens):
    match = re.search(_alternatives(tokens), text)
    if match is None:
        return [(text, False)] if text else []
    parts = [(text[: match.start()], False), (match[0], True), (text[match.end() :], False)]
    return [part for part in parts if part[0]]


def _any_case(text, tokens):
    return _cut(text, _alternatives(tokens), tokens, re.IGNORECASE)


def _runs_as_one(text, tokens):
    return _cut(text, f"(?:{_alternatives(tokens)})+", tokens)


def _whole_words(text, tokens):
    return [(word, word in tokens) for word in text.split()]


def _cuts_everywhere_without_tokens(text, tokens):
    if not list(tokens):
        return [(character, False) for character in text]
    return _cut(text, _alternatives(tokens), tokens)


def _marks_swapped(text, tokens):
    return [(piece, not is_token) for piece, is_token in _cut(text, _alternatives(tokens), tokens)]


def _pieces_without_marks(text, tokens):
    return [piece for piece, _ in _cut(text, _alternatives(tokens), tokens)]


def _split_by_searching(text, tokens):
    pieces = []
    while text:
        places = [(text.find(token), -len(token), token) for token in tokens if token in text]
        if not places:
            pieces.append((text, False))
            break
        place, _, token = min(places)
        if place:
            pieces.append((text[:place], False))
        pieces.append((token, True))
        text = text[place + len(token) :]
    return pieces


def _split_letter_by_letter(text, tokens):
    pieces, plain, at = [], "", 0
    ordered = sorted(set(tokens), key=len, reverse=True)
    while at < len(text):
        token = next((t for t in ordered if text.startswith(t, at)), None)
        if token is None:
            plain += text[at]
            at += 1
            continue
        if plain:
            pieces.append((plain, False))
            plain = ""
        pieces.append((token, True))
        at += len(token)
    return [*pieces, (plain, False)] if plain else pieces


def _split_by_regex(text, tokens):
    ordered = sorted(tokens, key=len)[::-1]
    if not ordered:
        return [[text, False]] if text else []
    parts = re.split("(" + "|".join(re.escape(token) for token in ordered) + ")", text)
    return [[part, part in ordered] for part in parts if part]


split_on_tokens = Exercise(
    answer="minilm.tokenization.added_tokens:split_on_tokens",
    lesson=LESSON,
    cases=split_on_tokens_cases,
    reference=split_on_tokens_reference,
    reference_name="tokenizers' added tokens",
    mistakes=[
        Mistake(
            "takes the first listed token",
            _first_listed,
            "Your pattern tries the tokens in the order given. Where '<s>' and '<s>x' both fit, the "
            "longest must win, or the longer one is never found: sort by length, longest first.",
        ),
        Mistake(
            "reads tokens as regular expressions",
            _not_escaped,
            "Your pattern holds the tokens unescaped, so '[CLS]' means 'one of the letters C, L, S' "
            "and every such letter of the text becomes a token. Use re.escape.",
        ),
        Mistake(
            "joins the tokens as they are",
            _joined_as_they_are,
            "Your pattern is the tokens joined by |. Unescaped, '[CLS]' means 'one of the letters C, "
            "L, S'; unsorted, '<s>' hides '<s>x'; and with no tokens it fits between any two "
            "letters. Use re.escape, longest first, or any_of.",
        ),
        Mistake(
            "keeps empty pieces",
            _keeps_empty_pieces,
            "Your code keeps the empty strings that re.split leaves at the ends and between "
            "neighbours. A model has no id for nothing.",
        ),
        Mistake(
            "drops the tokens",
            _drops_the_tokens,
            "Your code cuts at the tokens and throws them away (a pattern without a group does). "
            "They are what the model must see, with their own ids.",
        ),
        Mistake(
            "drops the text between",
            _drops_the_text,
            "Your code returns the tokens and forgets the text between them. Joined, the pieces "
            "must be the whole text.",
        ),
        Mistake(
            "drops white space",
            _drops_spaces,
            "Your code leaves out pieces of white space only. Joined, the pieces must be the text "
            "again: whether spaces count is for the pre-tokenizer to say, not for this function.",
        ),
        Mistake(
            "strips the pieces",
            _strips_the_pieces,
            "Your code strips the white space round the pieces. GPT-2's ' b' and 'b' are different "
            "tokens, and the offsets would be off from here on.",
        ),
        Mistake(
            "cuts by one token after the other",
            _in_listed_order,
            "Your code cuts the text at the first token of the list, the rest at the second, and so "
            "on. Where two overlap, the one listed first wins; the leftmost should.",
        ),
        Mistake(
            "looks for the longest token anywhere",
            _longest_token_anywhere,
            "Your code looks for the longest token in the whole text, then for shorter ones. Length "
            "decides only among tokens that start at the same place: the leftmost comes first.",
        ),
        Mistake(
            "stops after the first token",
            _first_place_only,
            "Your code cuts once. Everything behind the first token stays one piece, its special "
            "tokens read as ordinary text.",
        ),
        Mistake(
            "ignores case",
            _any_case,
            "Your code also takes '<S>' for '<s>'. Tokens are found as they are written, letter by "
            "letter.",
        ),
        Mistake(
            "takes neighbours for one token",
            _runs_as_one,
            "Your code returns tokens that touch as one piece. Two padding tokens are two ids; "
            "'<pad><pad>' has none.",
        ),
        Mistake(
            "looks at whole words",
            _whole_words,
            "Your code splits at white space and compares words. A token may touch what stands "
            "beside it, 'Hi<s>', and the white space is part of the text.",
        ),
        Mistake(
            "without tokens, cuts everywhere",
            _cuts_everywhere_without_tokens,
            "With no tokens your pattern is empty, and an empty pattern fits between any two "
            "letters. No tokens means no cuts.",
        ),
        Mistake(
            "marks swapped",
            _marks_swapped,
            "Your code says True for text and False for tokens. The tokens would be cut into "
            "letters, and the text looked up whole.",
        ),
        Mistake(
            "returns pieces without marks",
            _pieces_without_marks,
            "Your code returns strings. Each piece needs its mark: (piece, is it a token).",
        ),
    ],
    accepts=[_split_by_searching, _split_letter_by_letter, _split_by_regex],
)


def fill_template_cases(draw: random.Random) -> list[Case]:
    """BERT's, T5's, RoBERTa's and made-up templates, for one sequence and for two."""
    bert = [("[CLS]", 0), ("A", 0), ("[SEP]", 0)]
    bert_pair = [*bert, ("B", 1), ("[SEP]", 1)]
    roberta_pair = [("<s>", 0), ("A", 0), ("</s>", 0), ("</s>", 0), ("B", 0), ("</s>", 0)]
    wild = [("B", 1), ("[X]", 2), ("A", 0), ("[CLS]", 1)]
    marks = {"[CLS]": [1], "[SEP]": [2]}
    cases = [
        _filled([("A", 0)], {"A": [7]}, {}),
        _filled([("A", 0)], {"A": []}, {}),
        _filled([("A", 0), ("A", 1)], {"A": [7]}, {}),
        _filled([("A", 0)], {"A": [7]}, {"A": [9]}),
        _filled([("A", 0), ("[SEP]", 0)], {"A": [7]}, {"[SEP]": [2]}),
        _filled(bert, {"A": [7, 8]}, marks),
        _filled(bert, {"A": []}, marks),
        _filled(bert_pair, {"A": [7], "B": [8]}, marks),
        _filled(bert_pair, {"A": [7, 8], "B": [9, 8, 7]}, marks),
        _filled(bert_pair, {"A": [7, 8], "B": []}, marks),
        _filled(roberta_pair, {"A": [7], "B": [8, 9]}, {"<s>": [0], "</s>": [2]}),
        _filled([("A", 0), ("[X]", 1)], {"A": [7, 8]}, {"[X]": [3, 4]}),
        _filled(wild, {"A": [7, 8], "B": [9]}, {"[CLS]": [1], "[X]": [3, 4]}),
    ]
    for _ in range(14):
        template, pair = draw.choice([(bert, False), (bert_pair, True), (wild, True)])
        special = {"[CLS]": [draw.randint(0, 5)], "[SEP]": [draw.randint(6, 9)], "[X]": [10, 11]}
        names = "AB" if pair else "A"
        used = {name: special[name] for name, _ in template if name in special}
        sequences = {n: [draw.randint(12, 40) for _ in range(draw.randint(1, 5))] for n in names}
        cases.append(_filled(template, sequences, used))
    return cases


def _filled(
    template: list[tuple[str, int]], sequences: dict[str, list[int]], special: dict[str, list[int]]
) -> Case:
    return {"template": template, "sequences": sequences, "special_ids": special}


def fill_template_reference(
    template: list[tuple[str, int]],
    sequences: dict[str, list[int]],
    special_ids: dict[str, list[int]],
) -> tuple[list[int], list[int]]:
    """Ask tokenizers' TemplateProcessing."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.processors import TemplateProcessing

    pattern = [f"{'$' if name in sequences else ''}{name}:{kind}" for name, kind in template]
    special: list[Any] = [
        {"id": name, "ids": ids, "tokens": [f"{name}{n}" for n in range(len(ids))]}
        for name, ids in special_ids.items()
    ]
    words = {f"w{token_id}": token_id for ids in sequences.values() for token_id in ids}
    tokenizer = Tokenizer(WordLevel(words, unk_token="unknown"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    form = "pair" if "B" in sequences else "single"
    tokenizer.post_processor = TemplateProcessing(**{form: pattern}, special_tokens=special)
    texts = [" ".join(f"w{token_id}" for token_id in ids) for ids in sequences.values()]
    encoding = tokenizer.encode(*texts)
    return encoding.ids, encoding.type_ids


def _fill(
    template: Iterable[tuple[str, int]],
    sequences: Mapping[str, Sequence[int]],
    special_ids: Mapping[str, Sequence[int]],
    kind_of: Callable[[str, int], int] = lambda name, kind: kind,
) -> tuple[list[int], list[int]]:
    """Fill a template; kind_of chooses the type id of one part."""
    ids: list[int] = []
    kinds: list[int] = []
    for name, kind in template:
        part = sequences[name] if name in sequences else special_ids[name]
        ids += part
        kinds += [kind_of(name, kind)] * len(part)
    return ids, kinds


def _empty_is_missing(template, sequences, special_ids):
    return _fill(
        [(n, k) for n, k in template if sequences.get(n) or special_ids[n]], sequences, special_ids
    )


def _special_first(template, sequences, special_ids):
    texts = {name: ids for name, ids in sequences.items() if name not in special_ids}
    return _fill(template, texts, special_ids)


def _all_type_zero(template, sequences, special_ids):
    return _fill(template, sequences, special_ids, lambda name, kind: 0)


def _special_type_zero(template, sequences, special_ids):
    return _fill(
        template, sequences, special_ids, lambda name, kind: kind if name in sequences else 0
    )


def _type_by_sequence(template, sequences, special_ids):
    return _fill(template, sequences, special_ids, lambda name, kind: int(name == "B"))


def _types_per_part(template, sequences, special_ids):
    ids, _ = _fill(template, sequences, special_ids)
    return ids, [kind for _, kind in template]


def _no_special_tokens(template, sequences, special_ids):
    return _fill([part for part in template if part[0] in sequences], sequences, special_ids)


def _berts_template(template, sequences, special_ids):
    first, second = special_ids.get("[CLS]", []), special_ids.get("[SEP]", [])
    ids = [*first, *sequences["A"], *second]
    kinds = [0] * len(ids)
    if "B" in sequences:
        ids += [*sequences["B"], *second]
        kinds += [1] * (len(ids) - len(kinds))
    return ids, kinds


def _first_special_id(template, sequences, special_ids):
    return _fill(template, sequences, {name: ids[:1] for name, ids in special_ids.items()})


def _nested(template, sequences, special_ids):
    ids, kinds = [], []
    for name, kind in template:
        part = sequences[name] if name in sequences else special_ids[name]
        ids.append(part)
        kinds.append([kind] * len(part))
    return ids, kinds


def _swapped(template, sequences, special_ids):
    return _fill(template, sequences, special_ids)[::-1]


def _ids_only(template, sequences, special_ids):
    return _fill(template, sequences, special_ids)[0]


def _each_special_once(template, sequences, special_ids):
    seen: set[str] = set()
    parts = []
    for name, kind in template:
        if name in sequences or name not in seen:
            parts.append((name, kind))
        seen.add(name)
    return _fill(parts, sequences, special_ids)


def _sequences_in_order(template, sequences, special_ids):
    order = iter(sorted(sequences))
    return _fill(
        [(next(order) if name in sequences else name, kind) for name, kind in template],
        sequences,
        special_ids,
    )


def _fill_by_pairs(template, sequences, special_ids):
    pairs = [
        (token_id, kind)
        for name, kind in template
        for token_id in (sequences[name] if name in sequences else special_ids[name])
    ]
    return [token_id for token_id, _ in pairs], [kind for _, kind in pairs]


def _fill_by_one_table(template, sequences, special_ids):
    table = {**special_ids, **sequences}
    ids, kinds = [], []
    for name, kind in template:
        ids = ids + list(table[name])
        kinds.extend(kind for _ in table[name])
    return [ids, kinds]


def _fill_by_chaining(template, sequences, special_ids):
    from itertools import chain, repeat

    parts = [sequences.get(name, special_ids.get(name)) for name, _ in template]
    kinds = (repeat(kind, len(part)) for (_, kind), part in zip(template, parts, strict=True))
    return list(chain.from_iterable(parts)), list(chain.from_iterable(kinds))


fill_template = Exercise(
    answer="minilm.tokenization.post_processors:fill_template",
    lesson=LESSON,
    cases=fill_template_cases,
    reference=fill_template_reference,
    reference_name="tokenizers' TemplateProcessing",
    mistakes=[
        Mistake(
            "takes an empty text for a missing one",
            _empty_is_missing,
            "Your code writes `sequences.get(name) or special_ids[name]`, and an empty list counts as "
            "false, so it looks for the text among the special tokens. Ask `name in sequences`.",
        ),
        Mistake(
            "all type ids 0",
            _all_type_zero,
            "Your code gives every token type 0. The type ids are how BERT tells question from "
            "text; with zeros it runs, and answers worse.",
        ),
        Mistake(
            "special tokens of type 0",
            _special_type_zero,
            "Your code gives special tokens type 0 whatever the template says. BERT's second [SEP] "
            "has type 1: it closes the second sequence and belongs to it.",
        ),
        Mistake(
            "type by sequence",
            _type_by_sequence,
            "Your code gives B type 1 and the rest type 0 and never reads the template's own "
            "numbers. RoBERTa's B has type 0, BERT's last [SEP] type 1.",
        ),
        Mistake(
            "one type id per part",
            _types_per_part,
            "Your code returns one type per part of the template. The model wants one per token: "
            "repeat it as often as the part has ids.",
        ),
        Mistake(
            "forgets the special tokens",
            _no_special_tokens,
            "Your code fills in the sequences and leaves the special tokens out. BERT reads its "
            "verdict off [CLS]: without it, off the first word.",
        ),
        Mistake(
            "BERT's template for all",
            _berts_template,
            "Your code writes [CLS] A [SEP] B [SEP] whatever the template says. T5 has no [CLS], "
            "RoBERTa two separators in the middle: follow the list.",
        ),
        Mistake(
            "one id per special token",
            _first_special_id,
            "Your code takes the first id of a special token. The table gives a list because a "
            "token of the template may stand for several ids.",
        ),
        Mistake(
            "lists in lists",
            _nested,
            "Your code appends each part as a list. The model wants one flat row of ids: extend, "
            "don't append.",
        ),
        Mistake(
            "takes a text for a special token",
            _special_first,
            "Your code looks among the special tokens first. A name that stands in both is a text.",
        ),
        Mistake(
            "types and ids swapped",
            _swapped,
            "Your code returns the type ids first. Both are lists of small numbers of the same "
            "length, so nothing complains later: the model reads zeros and ones as words.",
        ),
        Mistake(
            "ids alone",
            _ids_only,
            "Your code returns the ids and forgets the type ids. Return both lists.",
        ),
        Mistake(
            "each special token once",
            _each_special_once,
            "Your code writes a special token only where it first stands. BERT's [SEP] closes the "
            "first sequence and then the second.",
        ),
        Mistake(
            "A before B, always",
            _sequences_in_order,
            "Your code fills in A first and B second. The template names the sequence for each "
            "place: follow its order.",
        ),
    ],
    accepts=[_fill_by_pairs, _fill_by_one_table, _fill_by_chaining],
)


def without_special_cases(draw: random.Random) -> list[Case]:
    """Special ids at the ends, in the middle, in a row, twice; an ordinary id 0; none at all."""
    cases = [
        {"ids": [5], "special_ids": {1}},
        {"ids": [1, 5], "special_ids": {1}},
        {"ids": [0, 5], "special_ids": {5}},
        {"ids": [], "special_ids": {1}},
        {"ids": [1, 5, 5, 2], "special_ids": {1, 2}},
        {"ids": [7, 5, 6, 2], "special_ids": {2}},
        {"ids": [1, 5, 2, 6, 2], "special_ids": {1, 2}},
        {"ids": [5, 2, 2, 2], "special_ids": {2}},
        {"ids": [3, 9, 4], "special_ids": {9}},
        {"ids": [1, 2], "special_ids": {1, 2}},
    ]
    for _ in range(14):
        special = set(draw.sample(range(9), k=draw.randint(1, 3)))
        ids = [draw.randint(0, 8) for _ in range(draw.randint(1, 8))]
        cases.append({"ids": ids, "special_ids": special})
    return cases


def without_special_reference(ids: list[int], special_ids: set[int]) -> list[int]:
    """Ask tokenizers to decode with skip_special_tokens, into words that name their ids."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    words = {str(token_id): token_id for token_id in {*ids, *special_ids}}
    tokenizer = Tokenizer(WordLevel(words, unk_token="unknown"))
    tokenizer.add_special_tokens([str(token_id) for token_id in sorted(special_ids)])
    return [int(word) for word in tokenizer.decode(ids, skip_special_tokens=True).split()]


def _one_of_each(ids, special_ids):
    left = list(ids)
    for special in special_ids:
        if special in left:
            left.remove(special)
    return left


def _removes_while_walking(ids, special_ids):
    left = list(ids)
    for token_id in left:
        if token_id in special_ids:
            left.remove(token_id)
    return left


def _at_the_ends(ids, special_ids):
    left = list(ids)
    while left and left[0] in special_ids:
        left.pop(0)
    while left and left[-1] in special_ids:
        left.pop()
    return left


def _up_to_the_first(ids, special_ids):
    place = next((i for i, token_id in enumerate(ids) if token_id in special_ids), len(ids))
    return list(ids[:place])


def _first_and_last(ids, special_ids):
    return list(ids[1:-1])


def _by_position(ids, special_ids):
    return [token_id for place, token_id in enumerate(ids) if place not in special_ids]


def _as_sets(ids, special_ids):
    return sorted(set(ids) - set(special_ids))


def _loses_zero(ids, special_ids):
    return [token_id for token_id in ids if token_id and token_id not in special_ids]


def _special_ones_only(ids, special_ids):
    return [token_id for token_id in ids if token_id in special_ids]


def _small_ids(ids, special_ids):
    return [token_id for token_id in ids if token_id > max(special_ids)]


def _as_none(ids, special_ids):
    return [None if token_id in special_ids else token_id for token_id in ids]


def _without_special_by_loop(ids, special_ids):
    kept = []
    for token_id in ids:
        if token_id in special_ids:
            continue
        kept += [token_id]
    return kept


def _without_special_by_filter(ids, special_ids):
    return list(filter(lambda token_id: token_id not in special_ids, ids))


def _without_special_by_deleting(ids, special_ids):
    left = list(ids)
    for place in reversed(range(len(left))):
        if left[place] in special_ids:
            del left[place]
    return tuple(left)


without_special_tokens = Exercise(
    answer="minilm.tokenization.tokenizer:without_special_tokens",
    lesson=LESSON,
    cases=without_special_cases,
    reference=without_special_reference,
    reference_name="tokenizers' skip_special_tokens",
    mistakes=[
        Mistake(
            "drops one of each",
            _one_of_each,
            "Your code removes each special id once (list.remove takes the first). A padded row "
            "holds the same id many times.",
        ),
        Mistake(
            "removes while walking",
            _removes_while_walking,
            "Your code removes from the list it walks over. After each removal the next id slides "
            "into the gap and is skipped, so the second of two neighbours stays.",
        ),
        Mistake(
            "cleans the ends only",
            _at_the_ends,
            "Your code drops special ids at the two ends. In a pair there is a [SEP] in the middle "
            "as well, and it would be read out as text.",
        ),
        Mistake(
            "stops at the first special token",
            _up_to_the_first,
            "Your code returns what comes before the first special id. BERT's rows begin with one: "
            "nothing would be left.",
        ),
        Mistake(
            "drops the first and the last",
            _first_and_last,
            "Your code cuts off the first and last id without looking. GPT-2's rows begin with a "
            "word.",
        ),
        Mistake(
            "compares positions",
            _by_position,
            "Your code compares where an id stands with the special ids. Compare the id itself.",
        ),
        Mistake(
            "takes sets apart",
            _as_sets,
            "Your code subtracts sets, which know neither order nor repetition. The ids are a text: "
            "keep both.",
        ),
        Mistake(
            "loses id 0",
            _loses_zero,
            "Your code tests `if token_id`, and 0 counts as false. Id 0 is an ordinary token in many "
            "vocabularies.",
        ),
        Mistake(
            "keeps the special ones",
            _special_ones_only,
            "Your code keeps what should go. The condition needs a `not`.",
        ),
        Mistake(
            "takes small ids for special",
            _small_ids,
            "Your code drops every id up to the largest special one. Special tokens often come "
            "first in a vocabulary, and not always: Llama 3's come last.",
        ),
        Mistake(
            "leaves holes",
            _as_none,
            "Your code puts None where a special id stood. The next step looks ids up, and None has "
            "no token.",
        ),
    ],
    accepts=[
        _without_special_by_loop,
        _without_special_by_filter,
        _without_special_by_deleting,
    ],
)

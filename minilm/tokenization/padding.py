"""Making the rows of a batch equally long, and remembering which tokens are real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput, WrongType

if TYPE_CHECKING:
    from minilm.tokenization.call_options import Options


def pad_rows(
    rows: Sequence[Sequence[int]],
    pad_id: int,
    padding_side: str = "right",
    length: int | None = None,
) -> tuple[list[list[int]], list[list[int]]]:
    """Fill the rows of a batch to one length, as transformers' `tokenizer.pad` does.

    rows: B rows of token ids    pad_id: the id to fill with
    padding_side: "right" puts the padding after the tokens, "left" before them (for generation)
    length: tokens per row afterwards; None = the longest row's. A longer row is kept whole.

    Returns the padded ids (B, T) and the attention mask (B, T): 1 for a token, 0 for padding.
    """
    room = max(map(len, rows), default=0) if length is None else length
    ids, mask = [], []
    for row in rows:
        padding = room - len(row)  # negative for a row that is too long, which then gets none
        if padding_side == "right":
            ids.append(list(row) + [pad_id] * padding)
            mask.append([1] * len(row) + [0] * padding)
        else:
            ids.append([pad_id] * padding + list(row))
            mask.append([0] * padding + [1] * len(row))
    return ids, mask


def pad_columns(
    encoded: Any,
    options: Options,
    fill: Mapping[str, int | None],
    add_mask: bool,
) -> tuple[dict[str, Any], str | None]:
    """Pad the columns of rows that were tokenized before.

    encoded: a mapping of columns, of one row or of a batch, or a list of such mappings of one row
    options: says how long and on which side
    fill: column → what to pad it with; the first one, input_ids, must be there
    add_mask: make an attention_mask where there is none

    Returns the padded columns, and "pt" or "np" when they were tensors or arrays before.
    """
    columns = _collect(encoded)
    main = next(iter(fill))
    if main not in columns:
        raise InvalidInput(f"To pad it needs the column '{main}', and there are {list(columns)}.")
    tensors = _tensor_type(columns[main])
    columns = {name: _to_lists(column) for name, column in columns.items()}
    if not columns[main]:
        return columns, tensors
    is_batch = isinstance(columns[main][0], (list, tuple))
    if not is_batch:
        columns = {name: [column] for name, column in columns.items()}
    sizes = {name: len(column) for name, column in columns.items()}
    if len(set(sizes.values())) > 1:
        raise InvalidInput(
            f"The columns of a batch must have as many rows each, and they have {sizes}."
        )
    lengths = [len(row) for row in columns[main]]
    if add_mask and "attention_mask" not in columns:
        columns["attention_mask"] = [[1] * length for length in lengths]
    if options.pads:
        target = options.padded_length(lengths)
        for name, value in fill.items():
            if name in columns and value is not None:
                # Each row grows by what its ids lack, also where it is of another length.
                columns[name] = [
                    pad_rows(
                        [row], value, options.padding_side, len(row) + max(target - length, 0)
                    )[0][0]
                    for row, length in zip(columns[name], lengths, strict=True)
                ]
    if not is_batch:
        columns = {name: column[0] for name, column in columns.items()}
    return columns, tensors


def _collect(encoded: Any) -> dict[str, Any]:
    if isinstance(encoded, Mapping):
        return dict(encoded)
    if not isinstance(encoded, (list, tuple)) or not all(
        isinstance(row, Mapping) for row in encoded
    ):
        raise WrongType(
            "pad takes a BatchEncoding, a dict, or a list of them, and got "
            f"{type(encoded).__name__}. For lists of ids write {{'input_ids': rows}}."
        )
    if not encoded:
        raise InvalidInput("pad got an empty list. Give at least one row.")
    names = list(encoded[0])
    for i, row in enumerate(encoded):
        if set(row) != set(names):
            raise InvalidInput(
                f"Row {i} has the columns {list(row)}, and row 0 has {names}. Make them equal."
            )
    return {name: [row[name] for row in encoded] for name in names}


def _tensor_type(column: Any) -> str | None:
    """Which kind of tensor a column or its rows are: "pt", "np" or None for lists."""
    while isinstance(column, (list, tuple)) and column:
        column = column[0]
    kind = type(column).__module__.partition(".")[0]
    return {"torch": "pt", "numpy": "np"}.get(kind)


def _to_lists(column: Any) -> Any:
    if hasattr(column, "tolist"):
        return column.tolist()
    if isinstance(column, (list, tuple)):
        return [_to_lists(entry) for entry in column]
    return column

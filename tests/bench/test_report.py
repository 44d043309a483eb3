import json

from minilm.bench.comparing import Row
from minilm.bench.report import as_json, as_table

ROWS = [
    Row("encode, cold", 2.5, 1.25, "MB/s", 2.0, "≥ 2", True),
    Row("one long word", 0.01234, None, "s", None, None, None),
    Row("memory", 1234.5, 100.0, "MB", 12.345, "≤ 10", False),
]


def test_the_table_lines_its_columns_up():
    assert as_table(ROWS).split("\n") == [
        "               minilm  transformers  unit  ratio  wanted  met",
        "encode, cold     2.50          1.25  MB/s   2.00     ≥ 2  yes",
        "one long word   0.012                s",
        "memory           1234           100  MB    12.35    ≤ 10  NO",
    ]


def test_the_json_says_what_was_measured_and_on_what():
    data = json.loads(json.dumps(as_json(ROWS, threads=2, quick=False)))
    assert data["rows"][0] == {
        "name": "encode, cold",
        "ours": 2.5,
        "theirs": 1.25,
        "unit": "MB/s",
        "ratio": 2.0,
        "wanted": "≥ 2",
        "met": True,
    }
    assert (data["threads"], data["quick"]) == (2, False)
    assert data["cpu_count"] >= 1
    assert {"minilm", "transformers", "tokenizers"} <= data["versions"].keys()

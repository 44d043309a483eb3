"""minilm.files: whole files or none."""

import json
import os
import stat
from pathlib import Path

import pytest

from minilm import files
from minilm.errors import FileProblem


def test_a_written_file_holds_exactly_the_content(tmp_path: Path) -> None:
    files.write_atomically(tmp_path / "a.txt", "Grüße\n")
    assert (tmp_path / "a.txt").read_bytes() == "Grüße\n".encode()


def test_writing_leaves_no_temporary_file_behind(tmp_path: Path) -> None:
    files.replace_files(tmp_path / "new", {"a": "1", "b": b"2"})
    assert sorted(os.listdir(tmp_path / "new")) == ["a", "b"]


def test_a_failure_before_the_renames_leaves_every_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.replace_files(tmp_path, {"a": "old a", "b": "old b"})
    written = []

    def full_disk(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) == 2:
            raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        files.replace_files(tmp_path, {"a": "new a", "b": "new b"})
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a": "old a", "b": "old b"}


def test_a_written_file_follows_the_users_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        files.write_atomically(tmp_path / "a", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(FileProblem, match="is a file, and a folder was expected"):
        files.replace_files(tmp_path / "f", {"a": "1"})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1', "ends too early"),
        (b'{"a": 1,, "b": 2}', "line 1, column"),
        (b"", "ends too early"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_broken_json_is_one_clear_error(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(FileProblem, match=words) as caught:
        files.read_json(tmp_path / "t.json")
    assert "t.json" in str(caught.value)


def test_good_json_is_read_as_json_reads_it(tmp_path: Path) -> None:
    value = {"é": [1, 2.5, None, "𝄞"]}
    (tmp_path / "t.json").write_text(json.dumps(value), encoding="utf-8")
    assert files.read_json(tmp_path / "t.json") == value

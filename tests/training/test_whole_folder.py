"""A folder is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from minilm.training.whole_folder import finish_replacing, remove_folder, replacing_folder


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_folder_appears_with_all_that_is_in_it(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "a" / "b") as staging:
        (staging / "one").write_text("1")
        (staging / "inner").mkdir()
        (staging / "inner" / "two").write_text("2")
        assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "b" / "inner" / "two").read_text() == "2"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_an_older_one_is_replaced_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with replacing_folder(tmp_path / "b") as staging:
            (staging / text).write_text(text)
    assert content(tmp_path / "b") == {"new": "new"}
    assert len(list(tmp_path.iterdir())) == 1


def test_an_error_leaves_the_older_one(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "b") as staging:
        (staging / "old").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "b") as staging:
        (staging / "new").write_text("new")
        raise ZeroDivisionError
    assert content(tmp_path / "b") == {"old": "old"}
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_kill_left_is_completed_or_cleared_away(tmp_path: Path) -> None:
    for name in (".replaced-a", ".replaced-b", "b", ".removed-c", ".writing-xyz"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    finish_replacing(tmp_path)
    left = {path.name: (path / "file").read_text() for path in tmp_path.iterdir()}
    assert left == {"a": ".replaced-a", "b": "b"}


def test_what_is_being_written_is_not_cleared_away(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "b") as staging:
        (staging / "file").write_text("")
        finish_replacing(tmp_path)
        assert (staging / "file").exists()
    assert (tmp_path / "b" / "file").exists()


def test_a_removed_folder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    remove_folder(tmp_path / "b")
    remove_folder(tmp_path / "b")
    assert not list(tmp_path.iterdir())

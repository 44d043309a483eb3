"""minilm.files: whole files or none."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from minilm import files
from minilm.errors import FileProblem, WrongType


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
    with pytest.raises(FileProblem, match="a part of it is a file"):
        files.replace_files(tmp_path / "f" / "below", {"a": "1"})


@pytest.mark.parametrize(
    ("place", "kind"),
    [("", WrongType), (None, WrongType), (5, WrongType), ("a\0b", FileProblem)],
)
def test_what_is_no_path_of_a_folder_is_refused(
    place: Any, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty name, such as of a variable that was not set, would be the current folder."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=r"Give"):
        files.replace_files(place, {"a": "1"})
    with pytest.raises(kind, match=r"Give"), files.replacing_as_one(place) as staging:
        (staging / "a").write_text("1")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1', "ends too early"),
        (b'{"a": 1,, "b": 2}', "line 1, column"),
        (b"", "ends too early"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "not valid JSON"),
    ],
)
def test_broken_json_is_one_clear_error(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(FileProblem, match=words) as caught:
        files.read_json(tmp_path / "t.json")
    assert "t.json" in str(caught.value)


def test_what_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="There is no file"):
        files.read_json(tmp_path / "nowhere")
    with pytest.raises(FileProblem, match="cannot be read"):
        files.read_json(tmp_path)


def test_good_json_is_read_as_json_reads_it(tmp_path: Path) -> None:
    value = {"é": [1, 2.5, None, "𝄞"]}
    (tmp_path / "t.json").write_text(json.dumps(value), encoding="utf-8")
    assert files.read_json(tmp_path / "t.json") == value


# -- several files as one ------------------------------------------------------------------------

OLD = {"config.json": "old", "model.bin": "old", "notes.txt": "mine"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    files.replace_files(place, OLD)
    return place


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def write(folder: Path, **new: str) -> None:
    with files.replacing_as_one(folder, ["model*"]) as staging:
        for name, text in new.items():
            (staging / name).write_text(text)


def leave_half(folder: Path, moved: int, **new: str) -> Path:
    """What a process leaves that is killed when so many files have been moved."""
    replaced = []
    real = os.replace

    def dying(source, target):
        # Only what moves into the folder itself, not the note.
        if Path(target).parent == folder:
            if len(replaced) == moved:
                raise KeyboardInterrupt
            replaced.append(target)
        real(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            write(folder, **new)
    (staging,) = folder.glob(f"{files.STAGING}*")
    return staging


def test_new_files_take_the_place_of_all_that_they_supersede(folder: Path) -> None:
    write(folder, a="new", model1="new")
    assert contents(folder) == {
        "a": "new",
        "model1": "new",
        "config.json": "old",
        "notes.txt": "mine",
    }


def test_an_error_leaves_the_old_files_and_nothing_else(folder: Path) -> None:
    def failing() -> None:
        with files.replacing_as_one(folder, ["*"]) as staging:
            (staging / "config.json").write_text("new")
            raise KeyError("stop")

    with pytest.raises(KeyError):
        failing()
    assert contents(folder) == OLD


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_what_a_kill_interrupted_is_finished_by_whoever_reads(folder: Path, moved: int) -> None:
    new = {"config.json": "new", "model1": "new", "model2": "new"}
    leave_half(folder, moved, **new)
    files.finish_saving(folder)
    assert contents(folder) == {**new, "notes.txt": "mine"}
    files.finish_saving(folder)
    assert contents(folder) == {**new, "notes.txt": "mine"}


def test_the_next_save_finishes_the_last_one_first(folder: Path) -> None:
    leave_half(folder, 1, model1="first", model2="first", other="first")
    write(folder, model1="second")
    assert contents(folder) == {
        "model1": "second",
        "other": "first",
        "config.json": "old",
        "notes.txt": "mine",
    }


def test_a_save_that_waited_while_another_was_killed_comes_after_it(folder: Path) -> None:
    """Otherwise what the killed one has moved goes as old, and later what came in its place."""
    with files.replacing_as_one(folder, ["model*"]) as staging:
        (staging / "model2").write_text("new")
        elsewhere = folder / "elsewhere"
        killed = leave_half(elsewhere, 2, **{"config.json": "k", "model1": "k", "other": "k"})
        for path in (killed, elsewhere / "config.json", elsewhere / "model1"):
            os.replace(path, folder / path.name)
        elsewhere.rmdir()
    for _ in range(2):
        files.finish_saving(folder)
        assert contents(folder) == {
            "config.json": "k",
            "other": "k",
            "model2": "new",
            "notes.txt": "mine",
        }


def test_of_two_that_wait_the_half_moved_one_comes_first(folder: Path) -> None:
    names = {f"model{i}": str(i) for i in range(3)}
    for turn in range(8):  # in whichever order the folder lists them
        place = folder / str(turn)
        half = leave_half(place, 2, **{f"model{i}": "half" for i in range(3)})
        whole = leave_half(folder / "elsewhere", 0, **names, model3="3")
        os.replace(whole, place / f"{files.STAGING}{turn}")
        assert half.exists()
        files.finish_saving(place)
        assert contents(place) == {**names, "model3": "3"}


def test_a_folder_in_the_place_of_a_file_is_told_before_anything_moves(folder: Path) -> None:
    (folder / "model1").mkdir()
    with pytest.raises(FileProblem, match="model1' is a folder, and a file of that name"):
        write(folder, **{"config.json": "new", "model1": "new"})
    assert sorted(os.listdir(folder)) == sorted([*OLD, "model1"])
    assert (folder / "config.json").read_text() == "old"


def test_a_folder_with_the_name_of_old_files_stays(folder: Path) -> None:
    (folder / "model1").mkdir()
    write(folder, model2="new")
    assert sorted(os.listdir(folder)) == ["config.json", "model1", "model2", "notes.txt"]


def test_while_a_folder_is_read_nothing_moves_into_it(folder: Path) -> None:
    fcntl = pytest.importorskip("fcntl")

    def can_move() -> bool:
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(handle)
        return True

    with files.unchanged(folder):
        with files.unchanged(folder):  # many may read
            assert not can_move()
        assert not can_move()
    assert can_move()
    with files.unchanged(None), files.unchanged(folder / "nowhere"):
        pass


def test_what_nobody_writes_any_more_is_cleared_away(folder: Path) -> None:
    pytest.importorskip("fcntl")
    left = folder / f"{files.STAGING}abc"
    left.mkdir()
    (left / "config.json").write_text("half of it")
    files.finish_saving(folder)
    assert contents(folder) == OLD


def test_what_somebody_is_writing_is_left_alone(folder: Path) -> None:
    with files.replacing_as_one(folder, ["model*"]) as staging:
        (staging / "model1").write_text("new")
        files.finish_saving(folder)
        assert (staging / "model1").read_text() == "new"
        write(folder, model2="quicker")  # another save of the same folder
    assert contents(folder) == {"model1": "new", "config.json": "old", "notes.txt": "mine"}


@pytest.mark.parametrize(
    "note",
    [
        "",
        "{}",
        "[]",
        "3",
        '{"files": "config.json", "superseded": []}',
        '{"files": [], "superseded": ["../*"]}',
        '{"files": ["../../precious"], "superseded": []}',
        '{"files": ["../notes.txt"], "superseded": []}',
        '{"files": ["/etc/passwd"], "superseded": []}',
        '{"files": [".."], "superseded": []}',
        '{"files": [1], "superseded": []}',
        '{"files": [], "superseded": [null]}',
    ],
)
def test_a_strangers_note_moves_and_deletes_nothing_outside(
    folder: Path, note: str, tmp_path: Path
) -> None:
    """A folder may come from anywhere, and reading it is no reason to do what it says."""
    precious = tmp_path / "precious"
    precious.write_text("kept")
    staging = folder / f"{files.STAGING}x"
    staging.mkdir()
    (staging / files.COMPLETE).write_text(note)
    files.finish_saving(folder)
    assert precious.read_text() == "kept"
    staged = {files.STAGING + "x"}
    assert {p.name: p.read_text() for p in folder.iterdir() if p.name not in staged} == OLD


def test_what_cannot_be_moved_into_place_is_one_clear_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = leave_half(folder, 0, model1="new")

    def forbidden(source: str, target: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", forbidden)
    with pytest.raises(FileProblem, match=rf"interrupted.*{staging.name}.*Permission denied"):
        files.finish_saving(folder)
    monkeypatch.undo()
    files.finish_saving(folder)
    assert contents(folder)["model1"] == "new"


def test_reading_what_is_not_there_is_nobodys_error(tmp_path: Path) -> None:
    files.finish_saving(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    files.finish_saving(tmp_path / "file")

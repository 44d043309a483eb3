"""The reader's desk: the folder that keeps their right answers from one lesson to the next.

`desk.load()` opens a lesson. It takes up every answer kept there, of all lessons: also of the one
being read, so that after a restart of the kernel the reader's functions are back. An exercise cell
that is run again defines its function anew, and its check decides again.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minilm.check import catalogue, installing, judging
from minilm.check.exercise import Exercise
from minilm.check.keeping import CannotKeep, loaded, written_down
from minilm.check.limits import OutOfMemory, OutOfTime, limited, quiet
from minilm.check.parameters import Misfit, fit
from minilm.errors import FileProblem, InvalidInput
from minilm.files import write_atomically

NO_ANSWERS = "No answers of yours yet: minilm's own functions are used."

# Taking up an answer is quick: so many cases at most. Its file may import large libraries.
_CASES = 12
_SECONDS_TO_RUN_THE_FILE = 30.0


def grading() -> bool:
    """Whether nbgrader runs the notebook, to grade or to validate it."""
    return bool(os.environ.get("NBGRADER_EXECUTION"))


def where() -> Path | None:
    """The desk's folder, or None where there is none: under nbgrader, and among the solutions.

    It is the folder in the environment variable MINILM_DESK (/dev/null for none), or else the
    nearest folder called "desk" around the current one, or the checkout's; otherwise "desk" in the
    current folder. The folder need not exist yet.
    """
    if grading():
        return None
    named = os.environ.get("MINILM_DESK")
    if named == os.devnull:
        return None
    if named:
        return Path(os.path.expanduser(named)).absolute()
    try:
        here = Path.cwd()
    except OSError:  # the current folder is gone
        return None
    for folder in (here, *here.parents):
        if folder.name == "desk":
            return folder
        if _is_checkout(folder):
            inside = here.relative_to(folder).parts
            return None if inside[:1] == ("solutions",) else folder / "desk"
    return here / "desk"


def _is_checkout(folder: Path) -> bool:
    """Whether a folder is the root of minilm's own source."""
    try:
        project = (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return re.search(r'^name\s*=\s*"minilm"', project, re.MULTILINE) is not None


def _file(folder: Path, exercise: Exercise) -> Path:
    return folder / "answers" / exercise.lesson / f"{exercise.name}.py"


def answers() -> dict[str, Path]:
    """The files of the answers kept on the desk, by the function's name, lessons in order."""
    folder = where()
    if folder is None or not os.path.isdir(folder / "answers"):
        return {}
    files = {name: _file(folder, e) for name, e in catalogue.all_exercises().items()}
    return {name: file for name, file in files.items() if os.path.isfile(file)}


def load(lesson: str | None = None) -> None:
    """Take up the answers kept on the desk: from now on minilm uses your functions.

    lesson: the last lesson whose answers to take up ("01_byte_pairs"); all unless given

    Each answer is tried first, on a few cases. Prints one line that names the functions in
    use, and one for every file that no longer works; raises nothing for such a file.
    Raises InvalidInput for an unknown lesson.
    """
    if lesson is not None:
        lessons = sorted({e.lesson for e in catalogue.all_exercises().values()})
        if lesson not in lessons:
            raise InvalidInput(
                f"There is no lesson '{lesson}' with exercises. There are: {', '.join(lessons)}."
            )
    in_use: list[str] = []
    problems: list[str] = []
    for name, file in answers().items():
        exercise = catalogue.find(name)
        if lesson is not None and exercise.lesson > lesson:
            continue
        problem = _take_up(exercise, file)
        if problem:
            problems.append(
                f"{_short(file)} is not used, minilm's own {name} is: {problem} Correct the file, "
                "or delete it and do its exercise again."
            )
        else:
            in_use.append(name)
    if in_use:
        count = "1 function" if len(in_use) == 1 else f"{len(in_use)} functions"
        print(f"{count} of yours in use: {', '.join(in_use)}.")
    elif not problems:
        print(NO_ANSWERS)
    for problem in problems:
        print(problem)


def _short(file: Path) -> str:
    """A path as it is read most easily from where the reader is."""
    try:
        relative = os.path.relpath(file)
    except (OSError, ValueError):
        return str(file)
    return str(file) if relative.startswith("..") else relative


def _take_up(exercise: Exercise, file: Path) -> str:
    """Try a kept answer and let it take minilm's place. Returns what is wrong with it, or ""."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return f"it cannot be read ({error})."
    problem, function = _tried(exercise, text, str(file))
    if not problem:
        installing.install(exercise, function)
    return problem


def _tried(exercise: Exercise, text: str, filename: str) -> tuple[str, Callable[..., Any]]:
    """Run a kept answer and judge it on a few cases. Returns what is wrong, and the function."""
    own = installing.own(exercise)
    try:
        with quiet(), limited(_SECONDS_TO_RUN_THE_FILE):
            space = loaded(text, filename)
    except KeyboardInterrupt:
        raise
    except (OutOfTime, OutOfMemory):
        return "it does not come to an end.", own
    except BaseException as error:  # a file may hold anything
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        return f"it stops with {type(error).__name__}: {error}{line}.", own
    function = space.get(exercise.name)
    if not callable(function):
        return f"it does not define {exercise.name}.", own
    try:
        function, _ = fit(function, own)
    except Misfit as misfit:
        return str(misfit), own
    expected = judging.own_expected(exercise, 0, _CASES)
    verdict = judging.judge(exercise, function, expected, recognise=False, in_place=True)
    if verdict.right:
        return "", function
    outcome = verdict.outcomes[verdict.wrong[0]]
    if outcome.kind == "endless":
        return "it does not come to an end.", own
    if outcome.kind == "error":
        return f"it stops with {type(outcome.error).__name__}: {outcome.error}.", own
    return "it no longer gives the right answers.", own


def keep(exercise: Exercise, function: Callable[..., Any], namespace: Mapping[str, Any]) -> str:
    """Write a right answer down on the desk, with the imports, helpers and constants it needs.

    function: the reader's    namespace: the global names it was written among

    An earlier, different answer is kept beside it under a numbered name. Returns what the reader
    should know if it could not be kept, "" if it is.
    """
    folder = where()
    if folder is None:
        return ""
    only_now = f"{exercise.name} is kept for this session only:"
    try:
        text = written_down(exercise.name, function, namespace)
    except CannotKeep as reason:
        return f"{only_now} {reason}."
    except RecursionError:
        return f"{only_now} its source is nested too deeply to read."
    text = f"# {exercise.name}, as you wrote it in lesson {exercise.lesson}.\n\n{text}"
    file = _file(folder, exercise)
    try:
        if os.path.isfile(file) and file.read_bytes() == text.encode("utf-8"):
            return ""
        problem, _ = _tried(exercise, text, str(file))
        if problem:
            return f"{only_now} written down by itself, {problem}"
        file.parent.mkdir(parents=True, exist_ok=True)
        _set_aside(file)
        write_atomically(file, text)
    except (OSError, UnicodeEncodeError, FileProblem) as error:
        cause = getattr(error, "strerror", None) or str(error)
        return f"{only_now} it could not be written to {_short(file)} ({cause})."
    return ""


def _set_aside(file: Path) -> None:
    """Keep what a file holds under a numbered name beside it, unless one of those holds it too."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return
    for number in itertools.count(1):
        aside = file.with_name(f"{file.stem}.{number}{file.suffix}")
        try:
            with aside.open("xb") as new:  # never opens one that is there
                new.write(content)
            return
        except FileExistsError:
            if aside.read_bytes() == content:
                return

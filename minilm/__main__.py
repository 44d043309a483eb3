"""`python -m minilm COMMAND`: what can be started from a shell."""

from __future__ import annotations

import sys

HELP = """\
python -m minilm COMMAND

  lab      lay the lessons on the desk and open JupyterLab at the first one
  desk     only lay the lessons on the desk
  doctor   say what is installed, what is missing and what to do
  bench    measure minilm beside transformers
  course   lay the lessons as an nbgrader course
  zoo      list the checkpoints that ship with minilm, or train one again

python -m minilm COMMAND --help tells the options of a command.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    arguments: the command and its options; those of the shell unless given

    Returns the exit status: 0 when all went well, 1 when not, 2 for a command that is not there.
    """
    # Only what a command needs is imported: the doctor must run where half is missing.
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    from minilm.errors import MinilmError

    try:
        if command == "lab":
            from minilm import lab

            return lab.main(rest)
        if command == "desk":
            from minilm import lab

            return lab.desk_main(rest)
        if command == "doctor":
            from minilm import doctor

            return doctor.main(rest)
        if command == "course":
            from minilm import course

            return course.main(rest)
        if command == "zoo":
            from minilm import zoo

            return zoo.main(rest)
        if command == "bench":
            from minilm import bench

            return bench.main(rest)
    except MinilmError as error:
        print(error, file=sys.stderr)
        return 1
    if command in ("--help", "-h", "help"):
        print(HELP, end="")
        return 0
    print(f"There is no command '{command}'.\n\n{HELP}", end="", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

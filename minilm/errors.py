"""The errors minilm raises.

Each is a `MinilmError` *and* the built-in error that fits, so that `except ValueError` works for
whoever does not know minilm. A message says three things: what was given, what was expected,
what to do.
"""


class MinilmError(Exception):
    """The base of all errors that minilm raises on purpose."""


class InvalidInput(MinilmError, ValueError):
    """An argument has the right type and a wrong value."""


class WrongType(MinilmError, TypeError):
    """An argument has the wrong type."""


class UnknownToken(MinilmError, KeyError):
    """A token or name that the vocabulary or table does not know."""

    def __str__(self) -> str:
        # KeyError prints the repr of its argument, which turns a sentence into a quoted string.
        return str(self.args[0]) if self.args else ""


class OutOfRange(MinilmError, IndexError):
    """A number outside the range it must lie in."""


class FileProblem(MinilmError, OSError):
    """A file or folder that is missing, damaged or not what it should be."""


class MissingPackage(MinilmError, ImportError):
    """An optional package that is needed here and not installed."""


class NotFinite(MinilmError, FloatingPointError):
    """A computation that must give a number gave NaN or an infinity."""


class ProcessLost(MinilmError, RuntimeError):
    """Another process of a run has ended, or does not answer."""

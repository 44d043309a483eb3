"""What the exercises of lesson 07 share."""

from __future__ import annotations

LESSON = "07_auto_classes"


class Refused:
    """Stands for an answer that refuses its arguments with an error, and what the error names.

    kind: of the error    names: what of importance its message says
    """

    def __init__(self, kind: str = "InvalidInput", names: str = "") -> None:
        self.kind, self.names = kind, names

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Refused) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.kind, self.names))

    def __repr__(self) -> str:
        return f"<{self.kind}{f' that names {self.names}' if self.names else ''}>"


def kind_of(error: BaseException) -> str:
    """Name an error; whatever is a ValueError is as good as InvalidInput."""
    return "InvalidInput" if isinstance(error, ValueError) else type(error).__name__

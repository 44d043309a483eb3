"""Text that remembers, through every change, where in the original each character came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class AlignedText:
    """A changed text, and for each of its characters the stretch of the original behind it.

    text: the text as it is now
    starts, ends: per character, the stretch of the original in characters
    origin: where this piece begins in the original

    Follows tokenizers' `NormalizedString`, which counts in bytes where this counts in
    characters; no change ever cuts a character, so both mean the same places.
    """

    __slots__ = ("ends", "origin", "starts", "text")

    def __init__(
        self,
        text: str,
        starts: Sequence[int] | None = None,
        ends: Sequence[int] | None = None,
        origin: int = 0,
    ) -> None:
        self.text = text
        # As long as nothing has changed, two ranges say it all.
        self.starts = range(len(text)) if starts is None else starts
        self.ends = range(1, len(text) + 1) if ends is None else ends
        self.origin = origin

    def __len__(self) -> int:
        return len(self.text)

    def slice(self, start: int, end: int) -> AlignedText:
        """The piece from `start` to `end`, in characters of the text as it is now."""
        return AlignedText(
            self.text[start:end],
            self.starts[start:end],
            self.ends[start:end],
            self.starts[start] if start < end else self.origin,
        )

    def offsets(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the original behind the characters from `start` to `end`."""
        if start < end:
            return self.starts[start], self.ends[end - 1]
        return self.origin + start, self.origin + end

    def with_text(self, text: str) -> AlignedText:
        """Another text of the same length, character for character in the same places."""
        return AlignedText(text, self.starts, self.ends, self.origin)

    def gather(self, text: str, sources: Sequence[int]) -> AlignedText:
        """Another text, whose every character stands for one character of this one.

        text: the new text
        sources: per new character, the position of the one it stands for; -1 for something put
            before everything, which stands for nothing
        """
        starts, ends = self.starts, self.ends
        if -1 in sources:
            starts, ends = [*starts, self.origin], [*ends, self.origin]
        return AlignedText(
            text, [starts[i] for i in sources], [ends[i] for i in sources], self.origin
        )

    def transform(self, changes: Iterable[tuple[str, int]]) -> AlignedText:
        """Another text, told as a stream of characters and what each one changes.

        changes: (character, change). 0 takes the place of the next character of this text;
            -n does that and removes the n characters after it; anything above 0 is put in
            between and belongs to the same stretch as the character before it.
        """
        text, sources, position = [], [], 0
        last = len(self.text) - 1
        for character, change in changes:
            text.append(character)
            if change > 0:
                sources.append(min(position - 1, last))
            else:
                sources.append(min(position, last))
                position += 1 - change
        return self.gather("".join(text), sources)

"""Where do notes live?"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """A text with a name."""

    name: str
    text: str


class NameTakenError(Exception):
    """There is a note of that name already."""


class NoNoteError(Exception):
    """There is no note of that name."""


class Notes:
    """Notes in memory; put a database behind the same three methods to keep them."""

    def __init__(self) -> None:
        self._notes: dict[str, Note] = {}

    def names(self) -> list[str]:
        """The names of all notes, in order."""
        return sorted(self._notes)

    def add(self, name: str, text: str) -> Note:
        """Keeps a new note.

        Raises:
            NameTakenError: There is a note of that name already.
        """
        if name in self._notes:
            raise NameTakenError(name)
        return self._notes.setdefault(name, Note(name, text))

    def get(self, name: str) -> Note:
        """Returns the note of that name.

        Raises:
            NoNoteError: There is none.
        """
        try:
            return self._notes[name]
        except KeyError:
            raise NoNoteError(name) from None

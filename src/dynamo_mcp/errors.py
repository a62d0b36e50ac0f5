"""Everything that can go wrong, in words for the person or agent who can mend it.

    DynamoError
    ├── UsageError                 the caller asked for something that can't be meant
    │   ├── InvalidName
    │   ├── InvalidLocation
    │   ├── InvalidCatalogue       a list of templates that can't be used as it is
    │   ├── InvalidArguments       of a tool: every problem at once
    │   ├── InvalidAnswers         every problem at once
    │   ├── InvalidRequirement
    │   ├── Declined               the person who was asked would not answer
    │   ├── NameTaken
    │   ├── OutputRefused          the output folder is not one that may be written
    │   └── TargetExists
    ├── NotFound
    │   └── TemplateNotFound
    ├── TemplateBroken             the template itself is at fault
    │   ├── NotATemplate
    │   ├── InvalidTemplate        its `cookiecutter.json` or its tree
    │   │   └── UnusableTemplate   whatever is answered
    │   ├── MissingRequirement     it needs a package that nobody named
    │   ├── RenderFailed
    │   └── HookFailed             with the hook's output
    ├── LimitReached               there would be more than the settings allow
    ├── Refused                    trust or confinement does not allow it
    │   ├── Unauthenticated        nobody knows who calls
    │   ├── TooManyAttempts        to say who calls
    │   └── NotAllowed             the caller lacks a scope, or it is somebody else's
    └── Failed                     something outside did not work
        ├── FetchFailed
        │   └── PasswordNeeded     of an encrypted archive
        ├── EnvironmentFailed      with uv's message
        ├── RendererFailed
        ├── TimedOut
        ├── Busy
        └── StorageFailed          a disk or a folder

Each says what was wrong and with which value; `hint` says what to do next.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

MOST_PROBLEMS = 100
"""Problems that are told at once; of the others it is told how many there are."""


class DynamoError(Exception):
    """Base of everything this program raises on purpose.

    Attributes:
        message: What was wrong, with which value.
        hint: What is allowed, or what to do next.
        problems: Each thing that is wrong by itself, where there may be several.
        exit_code: What the shell command exits with.
    """

    problems: tuple[Problem, ...] = ()
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str) -> None:
        """Keep both sentences apart, so that each edge can lay them out its own way."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message, a blank line, and the hint."""
        return f"{self.message}\n\nhint: {self.hint}"


class UsageError(DynamoError):
    """The caller asked for something that can't be meant."""

    exit_code = 2


class InvalidName(UsageError):
    """A template name that is not allowed."""


class InvalidLocation(UsageError):
    """A location that can't be understood, or may not be used."""


class InvalidCatalogue(UsageError):
    """A list of templates that can't be read, or holds what no entry may be."""


class InvalidRequirement(UsageError):
    """A requirement that is not a name and a version specifier."""


class Declined(UsageError):
    """The person who was asked for answers would not give them."""


class NameTaken(UsageError):
    """A template of this name is registered already."""


class OutputRefused(UsageError):
    """The output folder lies outside what may be written."""

    exit_code = 5


class TargetExists(UsageError):
    """The project's folder exists already."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with the answers, or with a tool's arguments.

    Attributes:
        variable: The variable, or the argument.
        message: All of it, for a person.
        given: What was given, on one line and cut off where it is long.
        allowed: What is allowed, in words.
        choices: The values that are allowed, where they are few enough to list.
        nearest: The allowed name or value that was probably meant.
    """

    variable: str
    message: str
    given: str | None = None
    allowed: str | None = None
    choices: tuple[str, ...] = ()
    nearest: str | None = None


class InvalidArguments(UsageError):
    """The arguments do not fit the tool; `problems` has every reason at once."""

    def __init__(self, tool: str, problems: tuple[Problem, ...], *, hint: str) -> None:
        """Join the problems to one message, a line each."""
        super().__init__(_joined(f"The arguments do not fit `{tool}`", problems), hint=hint)
        self.problems = problems


class InvalidAnswers(UsageError):
    """The answers do not fit the template's questions; `problems` has every reason at once."""

    exit_code = 4

    def __init__(self, template: str, problems: tuple[Problem, ...], *, hint: str) -> None:
        """Join the problems to one message, a line each."""
        super().__init__(_joined(f"The answers do not fit template `{template}`", problems), hint=hint)
        self.problems = problems


def _joined(head: str, problems: tuple[Problem, ...]) -> str:
    if len(problems) == 1:
        return f"{head}: {problems[0].message}"
    lines = [problem.message for problem in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        lines.append(f"and {len(problems) - MOST_PROBLEMS} more")
    return "\n".join([f"{head}:", *(f"- {line}" for line in lines)])


class NotFound(DynamoError):
    """Something that was asked for by name is not there."""

    exit_code = 3


class TemplateNotFound(NotFound):
    """No template of this name is registered."""


class TemplateBroken(DynamoError):
    """The template itself is at fault."""


class NotATemplate(TemplateBroken):
    """There is no `cookiecutter.json` where one was expected."""


class InvalidTemplate(TemplateBroken):
    """The template's `cookiecutter.json` or its tree can't be used."""


class UnusableTemplate(InvalidTemplate):
    """No project can be made from the template, whatever is answered."""


class MissingRequirement(TemplateBroken):
    """The template uses a package that nobody named."""


class RenderFailed(TemplateBroken):
    """The template could not be rendered."""


class HookFailed(TemplateBroken):
    """One of the template's hooks failed; the message holds what it printed."""


class LimitReached(DynamoError):
    """There would be more of something than the settings allow; the message says what and how many."""


class Refused(DynamoError):
    """Trust or confinement does not allow it."""

    exit_code = 5


class Unauthenticated(Refused):
    """Nobody knows who calls: they gave no credentials, or none that are good."""

    def __init__(self, message: str, *, hint: str, challenges: tuple[str, ...] = ()) -> None:
        """Keep what a caller is told to give (RFC 9110, section 11.6.1)."""
        super().__init__(message, hint=hint)
        self.challenges = challenges


class TooManyAttempts(Refused):
    """A peer has failed to say who calls too often, and is not heard for a while."""

    def __init__(self, message: str, *, hint: str, seconds: float = 1.0) -> None:
        """Keep how long, in seconds."""
        super().__init__(message, hint=hint)
        self.seconds = seconds


class NotAllowed(Refused):
    """The caller lacks a scope, or asked for what belongs to somebody else."""


class Failed(DynamoError):
    """Something outside this program did not work."""


class FetchFailed(Failed):
    """A template could not be fetched."""


class PasswordNeeded(FetchFailed):
    """An archive is encrypted, and no password was given, or another one than its own."""


class EnvironmentFailed(Failed):
    """uv could not make an environment."""


class RendererFailed(Failed):
    """A renderer died or answered nonsense."""


class TimedOut(Failed):
    """Something took longer than it may."""


class Busy(Failed):
    """Another caller holds what is needed for longer than it may."""


class StorageFailed(Failed):
    """A disk or a folder did not do what it must."""

"""What do clients read of a project, one that was made or one that would be?"""

from __future__ import annotations

from typing import Any

import msgspec

from dynamo_mcp.types import Change, HookRun, Tier, Trust


class Project(msgspec.Struct, frozen=True):
    """A created project.

    Attributes:
        id: Its identity in `projects/<id>.json`.
        path: The project's folder, absolute and real.
        files: Paths of the files and links that were written, relative to `path`, sorted.
        answers: The complete answers that it was made with.
        template: The template's name.
        revision: The template's commit; its content digest where there is none.
        trust: How much of the template was allowed to run.
        grants: What it was given besides, by a person's word.
        tier: How well the machine confined it.
        mechanisms: What confined it.
        hooks: What the template's hooks printed.
        left_out: What the template made that was not published, each with the reason.
        kept: What was there already and was left as it was.
        seconds: Seconds spent by step.
        notes: What else the caller should know, such as a file in which the sandbox's own path was replaced, or what
            a person could not be asked.
        more_files: How many more files there are than `files` lists.
        more_kept: How many more were kept than `kept` lists.
    """

    id: str
    path: str
    files: tuple[str, ...]
    answers: dict[str, Any]
    template: str
    revision: str
    trust: Trust
    tier: Tier
    mechanisms: tuple[str, ...]
    hooks: tuple[HookRun, ...]
    left_out: tuple[str, ...]
    kept: tuple[str, ...]
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()
    more_files: int = 0
    more_kept: int = 0
    grants: tuple[str, ...] = ()


class PreviewFile(msgspec.Struct, frozen=True):
    """A file or link that a create would make.

    Attributes:
        path: Relative to the project's folder.
        bytes: Its size; 0 for a link.
        mode: Its permissions, in octal.
        change: Against what is there: `new`, `same`, `changed` (replaced by this one), or `kept` (what is there stays).
        link: Where it leads, if it is a link.
    """

    path: str
    bytes: int
    mode: str
    change: Change
    link: str | None = None


class FileText(msgspec.Struct, frozen=True):
    """One file's text, or its first 64 KiB if it is `cut`; null where it is `binary`, or a link."""

    path: str
    text: str | None
    binary: bool = False
    cut: bool = False


class Preview(msgspec.Struct, frozen=True):
    """A project that was not made.

    Attributes:
        directory: The project folder's name.
        path: Where a create would put it, absolute and real.
        exists: Something is there already.
        problem: Why a create would refuse to write there, and what to do.
        files: The first 500 files and links, sorted by path.
        more: How many more there are.
        empty_folders: Folders that a create would make and put nothing in, at most 500.
        bytes: Bytes in all files.
        answers: The complete answers.
        hooks: The names of the hooks that a create would run.
        ran: What those hooks printed that ran for the preview.
        left_out: What the template made that would not be published, each with the reason.
        text: The file that was asked for.
        diff: Unified diff of the changed text files against what is there, if it was asked for; 64 KiB at most.
        diff_cut: Not all of the diff is there.
        not_compared: Changed files that are not in the diff, or could not be compared, each with the reason.
        notes: What else is worth knowing, as a created project has it.
        trust: How much of the template was allowed to run.
        grants: What it was given besides, by a person's word.
        tier: How well the machine confined it.
        mechanisms: What confined it.
        seconds: Seconds spent by step.
    """

    template: str
    directory: str
    path: str
    exists: bool
    problem: str | None
    files: tuple[PreviewFile, ...]
    more: int
    bytes: int
    answers: dict[str, Any]
    hooks: tuple[str, ...]
    ran: tuple[HookRun, ...]
    left_out: tuple[str, ...]
    text: FileText | None
    diff: str | None
    diff_cut: bool
    not_compared: tuple[str, ...]
    trust: Trust
    tier: Tier
    mechanisms: tuple[str, ...]
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()
    empty_folders: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()

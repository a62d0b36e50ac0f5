"""How is what is said to an agent said to a person at the shell? Tools become commands, and arguments flags."""

from __future__ import annotations

import re

COMMANDS = {
    "list_templates": "list",
    "get_template_variables": "variables NAME",
    "add_template": "add LOCATION",
    "create_project": "create NAME",
    "update_template": "update NAME",
    "remove_template": "remove NAME",
    "discover_templates": "discover",
    "search_templates": "search WORDS",
    "recommend_templates": "recommend SENTENCE",
    "preview_project": "preview NAME",
}
FLAGS = {
    "checkout": "--checkout",
    "directory": "--directory",
    "file": "--file",
    "if_exists": "--if-exists",
    "live": "--live",
    "name": "--name",
    "output_dir": "--output",
    "requirements": "--requirement",
}

_FORCED = re.compile(r"`update_template` with `force`")
_LISTS = re.compile(r"`get_template_variables` lists what `([^`]+)`")
_BRINGS = re.compile(r"`([^`]+)` up to date with `update_template`")
_TOOL = re.compile(f"`({'|'.join(COMMANDS)})`")
_FLAG = re.compile(
    r"(?P<before>(?:\b(?:with|without|leave|out|an|another|in|as|and|for)|,) )"
    f"`(?P<flag>{'|'.join(FLAGS)})`"
    r"(?P<value> `[^`]+`)?"
)


def typed(text: str) -> str:
    """Return a hint or a note in the words of the shell."""
    text = _FORCED.sub("`dynamo-mcp update NAME --force`", text)
    text = _LISTS.sub(r"`dynamo-mcp variables \1` lists what `\1`", text)
    text = _BRINGS.sub(r"`\1` up to date with `dynamo-mcp update \1`", text)
    text = _TOOL.sub(lambda found: f"`dynamo-mcp {COMMANDS[found[1]]}`", text)
    return _FLAG.sub(_flag, text)


def _flag(found: re.Match[str]) -> str:
    value = found["value"].strip(" `") if found["value"] else None
    return f"{found['before']}`{FLAGS[found['flag']]}{f' {value}' if value else ''}`"

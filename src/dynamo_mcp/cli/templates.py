"""add, list, info, variables, remove: which templates are there?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, TypeAlias

import typer

from dynamo_mcp.cli import many
from dynamo_mcp.cli.answers import AnswersFile, assignments_of, collect
from dynamo_mcp.cli.running import Json, bar, emit, fail, perform, say, warn
from dynamo_mcp.cli.wording import typed
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import UsageError
from dynamo_mcp.progress import Sink
from dynamo_mcp.sandbox.grants import NETWORK, command
from dynamo_mcp.types import Needs, Trust
from dynamo_mcp.views import Newer, TemplateInfo, VariableInfo

Name = Annotated[str, typer.Argument(help="The template's name.", show_default=False)]
Trusted = Annotated[
    str | None, typer.Option("--trust", help="How much of it may run: inert, contained or full.", metavar="TRUST")
]

Granted = Annotated[
    list[str] | None,
    typer.Option(
        "--grant",
        help="What it gets besides: network, executable:/path (or a name on your PATH), read:/path.",
        metavar="GRANT",
    ),
]


_Added: TypeAlias = tuple[TemplateInfo, tuple[str, ...]]
"""What was added, and why no project is created from it, where none is."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("add")(add)
    app.command("list")(list_templates)
    app.command("info")(info)
    app.command("variables")(variables)
    app.command("remove")(remove)


def add(
    locations: Annotated[
        list[str],
        typer.Argument(
            metavar="LOCATION...",
            help="Git URLs, gh:owner/repository, pypi:package, folders, archives, or names from `search`.",
            show_default=False,
        ),
    ],
    *,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    description: Annotated[str | None, typer.Option(help="What it makes.")] = None,
    checkout: Annotated[str | None, typer.Option(help="Branch, tag or commit, or `latest`.")] = None,
    directory: Annotated[str | None, typer.Option(help="The template's folder in the repository.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Use a folder in place; every edit counts.")] = False,
    requirement: Annotated[list[str] | None, typer.Option(help="A package that the template needs.")] = None,
    trust: Trusted = None,
    grant: Granted = None,
    json: Json = False,
) -> None:
    """Register templates and make their environments; several at once."""

    async def one(dynamo: Dynamo, location: str, sink: Sink) -> _Added:
        added = await dynamo.add_template(
            location,
            name=name,
            description=description,
            checkout=checkout,
            directory=directory,
            live=live,
            requirements=tuple(requirement or ()),
            trust=parse_trust(trust),
            grants=tuple(grant or ()),
            sink=sink,
        )
        return added, () if json else await _refusals(dynamo, added)

    async def single(dynamo: Dynamo) -> _Added:
        with bar(f"add {locations[0]}") as sink:
            return await one(dynamo, locations[0], sink)

    if len(locations) == 1:
        template, refused = perform(single, as_json=json)
        if json:
            emit(template)
        else:
            _say_added(template, refused)
        return
    flags = {"--name": name, "--description": description, "--checkout": checkout, "--directory": directory}
    if given := [flag for flag, value in flags.items() if value is not None]:
        fail(
            UsageError(
                f"`{given[0]}` is of one template, and {len(locations)} are named",
                hint="leave it out, or add that one by itself",
            ),
            as_json=json,
        )
    outcomes = perform(lambda dynamo: many.each("add", locations, partial(one, dynamo)), as_json=json)
    many.conclude(outcomes, lambda _, added: _say_added(*added), as_json=json, of=lambda added: added[0])


def _say_added(template: TemplateInfo, refused: tuple[str, ...]) -> None:
    if template.children:
        _say_children(template, refused)
        return
    say(f"added {template.name} from {template.url}")
    _say_variables(template.variables_cache or ())
    say_notes(template)
    say_needs(template)
    _say_next(template.name, refused)


async def _refusals(dynamo: Dynamo, added: TemplateInfo) -> tuple[str, ...]:
    """Say why no project would be created from what was added, each reason once."""
    told = await dynamo.trust(added.name)
    return tuple(dict.fromkeys(each.refused for each in told if each.refused))


def _say_next(name: str, refused: tuple[str, ...]) -> None:
    for reason in refused:
        say(f"does not run here: {typed(reason)}")
    if not refused:
        say(f"create a project: dynamo-mcp create {name} -o FOLDER")


Checked = Annotated[
    bool, typer.Option("--check", help="Ask where it comes from whether another revision is there; nothing is fetched.")
]


def list_templates(*, check: Checked = False, json: Json = False) -> None:
    """List the registered templates, and when each was fetched."""

    async def operation(dynamo: Dynamo) -> tuple[TemplateInfo, ...]:
        told = await dynamo.list_templates()
        for name in dynamo.damaged_records():
            warn(f"note: `{name}` is left out: its record can't be read; `dynamo-mcp info {name}` says what to do")
        return await dynamo.check_templates(told) if check else told

    templates = perform(operation, as_json=json)
    if json:
        emit({"templates": templates})
        return
    if not templates:
        say("no template is registered yet: dynamo-mcp discover, dynamo-mcp add LOCATION")
    for template in templates:
        state = "" if template.is_active else f"  [{template.problem or 'its environment is made at the first create'}]"
        say(f"{template.name:<24} {template.description}{state}")
        for line in _where(template):
            say(f"{'':<24} {line}")
        say_notes(template)


def info(name: Name, *, check: Checked = False, json: Json = False) -> None:
    """Show all that is known of a template, or of a repository of several."""

    async def operation(dynamo: Dynamo) -> TemplateInfo:
        told = await dynamo.template_info(name)
        return (await dynamo.check_templates([told]))[0] if check else told

    template = perform(operation, as_json=json)
    if json:
        emit(template)
        return
    say(f"{template.name}: {template.description}")
    for line in _where(template):
        say(f"  {line}")
    say(f"  trust {', '.join([template.trust, *template.grants])}, tier {template.tier}")
    for word, told in (("hook", template.hooks), ("package", template.requirements), ("tag", template.tags)):
        for each in told:
            say(f"  {word}: {each}")
    for child in template.children:
        say(f"  template: {child.name}" + (f", which can't be used: {child.problem}" if child.problem else ""))
    _say_variables(template.variables_cache or ())
    say_notes(template)
    say_needs(template)


def _where(template: TemplateInfo) -> Iterator[str]:
    """Say where a template comes from, which revision it is, and what a check has found."""
    inside = f" in {template.directory}" if template.directory else ""
    yield f"{template.url}{inside} at {(template.revision or template.digest or '')[:12]}, {template.last_updated}"
    match template.newer:
        case Newer("newer", revision):
            there = revision[:12] if revision else "another one"
            yield f"there is {there} by now: dynamo-mcp update {template.group or template.name}"
        case Newer("current"):
            yield "up to date"
        case Newer(state, _, why):
            yield f"{'can not be checked' if state == 'failed' else state}: {typed(why or '')}"


def variables(
    name: Name,
    *,
    assignments: Annotated[list[str] | None, assignments_of("variables")] = None,
    answers: AnswersFile = None,
    trust: Trusted = None,
    json: Json = False,
) -> None:
    """Show what a template asks and, given answers, the value of every variable."""

    async def operation(dynamo: Dynamo) -> tuple[VariableInfo, ...]:
        asked = await dynamo.get_template_variables(name)
        if assignments is None and answers is None:
            return asked
        given = collect(answers, assignments, asked)
        with bar(f"variables {name}") as sink:
            return await dynamo.get_template_variables(name, given, trust=parse_trust(trust), sink=sink)

    asked = perform(operation, as_json=json)
    if json:
        emit({"variables": asked})
    else:
        _say_variables(asked, computed=assignments is not None or answers is not None)


def remove(name: Name, *, json: Json = False) -> None:
    """Forget a template; the projects made from it stay."""
    said = perform(lambda dynamo: dynamo.remove_template(name), as_json=json)
    if json:
        emit({"removed": name, "message": said})
    else:
        say(said)


def parse_trust(word: str | None, what: str = "--trust") -> Trust | None:
    """Read a trust level.

    Raises:
        UsageError: It is none.
    """
    match word:
        case None | "inert" | "contained" | "full":
            return word
        case _:
            raise UsageError(f"`{what}` can't be `{word}`", hint="it is `inert`, `contained` or `full`")


def say_needs(template: TemplateInfo) -> None:
    """Say what a person should know before the first create: what is absent, what can't work."""
    for line in _lacks(template.name, template.needs, template.trust, template.grants):
        say(line)
    if template.problem is not None:
        say(typed(template.problem))


def _lacks(name: str, needs: Needs, trust: Trust, grants: tuple[str, ...]) -> Iterator[str]:
    for missing in needs.missing:
        yield f"missing: module `{missing.module}` ({missing.found}): {typed(missing.why)}"
    for executable in needs.executables:
        if not executable.present:
            yield f"absent: executable `{executable.name}` ({executable.found}); {executable.hint}"
    if needs.network and trust == "contained" and NETWORK not in grants:
        granting = command(name, "contained", [*grants, NETWORK])
        yield f"may need the network, which it does not get; to give it that: {granting}"
        yield from (f"  {where}" for where in needs.network)
    if needs.unread:
        yield "too long to be read to the end, so there may be more that it needs:"
        yield from (f"  {where}" for where in needs.unread)
    yield from (f"{field}: {more} more than are listed" for field, more in needs.more.items())


def _say_children(repository: TemplateInfo, refused: tuple[str, ...]) -> None:
    usable = [child for child in repository.children if child.tool]
    say(f"added {len(usable)} of the {len(repository.children)} templates of {repository.url}")
    for child in repository.children:
        say(f"  {child.name:<38} {child.description}")
        if child.problem:
            say(f"  {'':<38} can't be used: {child.problem}")
        for line in (
            *(f"note: {typed(note)}" for note in child.notes),
            *_lacks(child.name, child.needs, repository.trust, repository.grants),
        ):
            say(f"  {'':<38} {line}")
    say_notes(repository)
    if usable:
        _say_next(usable[0].name, refused)
    say(f"all of them: dynamo-mcp update {repository.name}, dynamo-mcp remove {repository.name}")


def say_notes(template: TemplateInfo) -> None:
    """Say what else a person should know of a template."""
    for note in template.notes:
        say(f"  note: {typed(note)}")


def _say_variables(asked: tuple[VariableInfo, ...], *, computed: bool = False) -> None:
    for variable in asked:
        default = "computed" if variable.derived else variable.default
        default = variable.value if computed else default
        choices = (
            f" ({', '.join(str(choice) for choice in variable.choices or ())})" if variable.type == "choice" else ""
        )
        say(f"  {variable.name:<28} {variable.type:<8} {default!s}{choices}")
        if variable.description.lower() != variable.name.replace("_", " ").lower():
            say(f"  {'':<28} {variable.description}")

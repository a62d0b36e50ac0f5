"""Stand-ins that implement a protocol of ours for real, in memory."""

from __future__ import annotations

import difflib
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import anyio
import msgspec

from dynamo_mcp.catalogue_views import CatalogueEntry, Category, CategoryInfo, Found, FoundTemplate
from dynamo_mcp.errors import (
    InvalidAnswers,
    InvalidLocation,
    NameTaken,
    NotFound,
    Problem,
    TemplateNotFound,
    UsageError,
)
from dynamo_mcp.progress import (
    STEPS_OF_ADD,
    STEPS_OF_CREATE,
    STEPS_OF_PREVIEW,
    STEPS_OF_RESOLVE,
    STEPS_OF_UPDATE,
    Progress,
    Sink,
    ignore,
)
from dynamo_mcp.project_views import FileText, Preview, PreviewFile, Project
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store
from dynamo_mcp.task_records import TaskRecords
from dynamo_mcp.types import HookRun, IfExists
from dynamo_mcp.views import Load, Newer, TemplateChange, TemplateInfo, VariableInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from anyio.streams.memory import MemoryObjectSendStream

    from dynamo_mcp.dynamo import Dynamo

HELD = "held"
"""The `project_name` whose create waits until `FakeDynamo.release` is called, over MCP by updating any template."""

BROKEN = "broken"
"""The `project_name` whose create fails as only a fault of the program does."""

EVERY_KIND = (
    VariableInfo(
        "project_name", "How is it called?", "My project", None, required=False, type="string", recommended=True
    ),
    VariableInfo("slug", "", "{{ cookiecutter.project_name }}", None, required=False, type="string", derived=True),
    VariableInfo("docker", "With Docker?", default=False, choices=None, required=False, type="boolean"),
    VariableInfo("tests", "With tests?", default=True, choices=None, required=False, type="boolean", recommended=True),
    VariableInfo(
        "license",
        "Which licence?",
        "MIT",
        ("MIT", "BSD-3", "GPL"),
        required=False,
        type="choice",
        recommended=True,
        labels={"GPL": "GNU General Public License"},
    ),
    VariableInfo("port", "", 8000, None, required=False, type="number"),
    VariableInfo("owner", "", {"name": "Ada"}, None, required=False, type="mapping"),
)

_TYPES = {"string": "string", "boolean": "boolean", "choice": "string", "number": "number", "mapping": "object"}


class FakeDynamo:
    """`dynamo.Dynamo` without a disk, a process or a template."""

    def __init__(self, outputs: Path, *, home: Path | None = None, **chosen: Any) -> None:
        self.settings = Settings(home=home or outputs.with_name(f"{outputs.name}-home"), **chosen)
        self.task_records = TaskRecords(_store(self.settings.home))
        self.outputs = outputs
        self.held = anyio.Semaphore(0)
        self.cancelled = anyio.Event()
        self.created: list[dict[str, Any]] = []
        self.computed: list[dict[str, Any]] = []
        self.previewed: list[dict[str, Any]] = []
        self.searched: list[dict[str, Any]] = []
        self.damaged: tuple[str, ...] = ()
        self._templates: dict[str, TemplateInfo] = {}
        self._listed: tuple[TemplateInfo, ...] = ()
        self._released = anyio.Event()
        self._listeners: set[MemoryObjectSendStream[frozenset[str]]] = set()
        self.register("alpha", variables=EVERY_KIND)
        self.register("beta", variables=EVERY_KIND[:1])

    @property
    def dynamo(self) -> Dynamo:
        """Itself, as what the server is written for."""
        return cast("Dynamo", self)

    def register(
        self,
        name: str,
        *,
        variables: tuple[VariableInfo, ...] = EVERY_KIND,
        description: str = "Makes a thing",
        active: bool = True,
        category: str | None = None,
    ) -> None:
        self._templates[name] = TemplateInfo(
            name=name,
            description=description,
            url=f"https://example.com/{name}.git",
            venv_path=f"/venvs/{name}",
            is_active=active,
            last_updated="2026-11-24T12:00:00+00:00",
            variables_cache=variables,
            tool=f"create_{name}",
            revision="0" * 40,
            digest="1" * 64,
            category=category,
            problem=None if active else "`cookiecutter.json` is gone",
        )
        self._changed(name)

    def release(self) -> None:
        self._released.set()

    def damaged_records(self) -> tuple[str, ...]:
        return self.damaged

    async def list_templates(self) -> tuple[TemplateInfo, ...]:
        found = tuple(
            msgspec.structs.replace(self._templates[name], variables_cache=None) for name in sorted(self._templates)
        )
        if found != self._listed:
            self._listed = found
        return self._listed

    async def check_templates(self, told: Sequence[TemplateInfo]) -> tuple[TemplateInfo, ...]:
        return tuple(msgspec.structs.replace(info, newer=Newer("newer", "2" * 40)) for info in told)

    async def template_info(self, template_name: str) -> TemplateInfo:
        try:
            return self._templates[template_name]
        except KeyError:
            near = difflib.get_close_matches(template_name, self._templates, n=1)
            raise TemplateNotFound(
                f"Template `{template_name}` is not registered",
                hint=f"did you mean `{near[0]}`?" if near else "`list_templates` says which are",
            ) from None

    async def get_template_variables(
        self, template_name: str, answers: dict[str, Any] | None = None, *, sink: Sink = ignore
    ) -> tuple[VariableInfo, ...]:
        variables = (await self.template_info(template_name)).variables_cache or ()
        if answers is None:
            return variables
        _refuse_unknown(template_name, answers, variables)
        self.computed.append({"template": template_name, "answers": answers})
        await _walk(STEPS_OF_RESOLVE, sink)
        number = len(self.computed)  # like the time, what is computed is another each time
        return tuple(
            msgspec.structs.replace(
                variable,
                value=answers.get(variable.name, f"computed-{number}" if variable.derived else variable.default),
                choices=tuple(f"choice-{number}-{index}" for index, _ in enumerate(variable.choices))
                if variable.derived and variable.choices
                else variable.choices,
            )
            for variable in variables
        )

    async def json_schema(self, template_name: str) -> dict[str, Any]:
        properties: dict[str, dict[str, Any]] = {}
        for variable in await self.get_template_variables(template_name):
            properties[variable.name] = {
                "type": _TYPES[variable.type],
                "title": variable.name.replace("_", " ").capitalize(),
                "description": variable.description,
                "default": variable.default,
            }
            if variable.choices:
                properties[variable.name]["enum"] = list(variable.choices)
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }

    async def add_template(
        self,
        url: str,
        *,
        name: str | None = None,
        description: str | None = None,
        checkout: str | None = None,
        directory: str | None = None,
        live: bool = False,
        requirements: tuple[str, ...] = (),
        sink: Sink = ignore,
    ) -> TemplateInfo:
        if ":" not in url:
            raise InvalidLocation(f"`{url}` is not a location", hint="use a git URL or a folder")
        name = name or url.rpartition("/")[2]
        if name in self._templates:
            raise NameTaken(f"There is a template `{name}` already", hint="choose another with `name`")
        await _walk(STEPS_OF_ADD, sink)
        self.register(name, description=description or "Makes a thing")
        self._templates[name] = msgspec.structs.replace(
            self._templates[name], url=url, revision=checkout, directory=directory, live=live, requirements=requirements
        )
        return self._templates[name]

    async def update_template(self, template_name: str, *, force: bool = False, sink: Sink = ignore) -> TemplateChange:
        template = await self.template_info(template_name)
        await _walk(STEPS_OF_UPDATE, sink)
        self.release()
        return TemplateChange(template, force, "0" * 40, "2" * 40 if force else "0" * 40)

    async def remove_template(self, template_name: str) -> str:
        await self.template_info(template_name)
        del self._templates[template_name]
        self._changed(template_name)
        return f"Removed template `{template_name}`"

    async def discover_templates(self, category: str | None = None) -> tuple[CatalogueEntry, ...]:
        if category not in {None, "web"}:
            raise NotFound(f"There is no category `{category}`", hint="did you mean `web`?")
        return (CatalogueEntry("flask", "https://example.com/flask.git", "A web service", "web", tags=("web",)),)

    async def search_templates(self, query: str, **filters: Any) -> Found:
        self.searched.append({"query": query, **filters})
        if not query.strip():
            raise UsageError("The query has no word", hint="say what is wanted")
        (entry,) = await self.discover_templates()
        result = FoundTemplate(
            name=entry.name,
            description=entry.description,
            registered=False,
            score=90.0,
            why=("because",),
            category=entry.category,
            language=None,
            tags=entry.tags,
            location=entry.location,
        )
        return Found((result,), more=1, notes=("a note",))

    async def recommend_templates(self, wanted: str) -> Found:
        return await self.search_templates(wanted)

    async def categories(self) -> tuple[CategoryInfo, ...]:
        registered = sum(template.category == "web" for template in self._templates.values())
        return (CategoryInfo("data science", 0, 0), CategoryInfo("web", registered, 1))

    async def category(self, name: str) -> Category:
        if name not in [category.name for category in await self.categories()]:
            raise NotFound(f"There is no category `{name}`", hint="did you mean `web`?")
        templates = tuple(template for template in await self.list_templates() if template.category == name)
        return Category(name, templates, await self.discover_templates() if name == "web" else ())

    async def check_answers(self, template_name: str, answers: dict[str, Any]) -> None:
        known = {variable.name: variable for variable in await self.get_template_variables(template_name)}
        if unknown := [name for name in answers if name not in known]:
            problems = tuple(Problem(name, f"`{name}` is not asked") for name in unknown)
            raise InvalidAnswers(template_name, problems, hint="read the variables")

    async def create_project(
        self,
        template_name: str,
        output_dir: str | None = None,
        variables: dict[str, Any] | None = None,
        *,
        if_exists: IfExists = "error",
        sink: Sink = ignore,
    ) -> Project:
        known = await self.get_template_variables(template_name)
        given = variables or {}
        await self.check_answers(template_name, given)
        if given.get("project_name") == HELD:
            await self._hold(sink)
        else:
            await _walk(STEPS_OF_CREATE, sink)
        if given.get("project_name") == BROKEN:
            raise ZeroDivisionError("a secret of the program")
        self.created.append(
            {"template": template_name, "output_dir": output_dir, "variables": given, "if_exists": if_exists}
        )
        answers = {variable.name: variable.default for variable in known} | given
        return Project(
            id="7",
            path=str((self.outputs if output_dir is None else self.outputs / output_dir) / "my-project"),
            files=("README.md", "src/main.py"),
            answers=answers,
            template=template_name,
            revision="0" * 40,
            trust="contained",
            tier="strong",
            mechanisms=("bubblewrap",),
            hooks=(),
            left_out=(),
            kept=(),
            seconds={"render": 0.1},
        )

    async def preview_project(
        self,
        template_name: str,
        output_dir: str | None = None,
        variables: dict[str, Any] | None = None,
        *,
        if_exists: IfExists = "error",
        file: str | None = None,
        diff: bool = False,
        hooks: bool = False,
        sink: Sink = ignore,
    ) -> Preview:
        known = await self.get_template_variables(template_name)
        given = variables or {}
        _refuse_unknown(template_name, given, known)
        await _walk(STEPS_OF_PREVIEW, sink)
        asked = {"output_dir": output_dir, "variables": given, "if_exists": if_exists}
        self.previewed.append({"template": template_name, **asked, "file": file, "diff": diff, "hooks": hooks})
        return Preview(
            template=template_name,
            directory="my-project",
            path=str((self.outputs if output_dir is None else self.outputs / output_dir) / "my-project"),
            exists=True,
            problem="it exists already",
            files=(PreviewFile("README.md", 12, "0644", "same"), PreviewFile("link", 0, "0777", "new", "README.md")),
            more=1,
            bytes=12,
            answers={variable.name: variable.default for variable in known} | given,
            hooks=("post_gen_project.py",),
            ran=(HookRun("post_gen_project.py", "ran\n", 0.1),) if hooks else (),
            left_out=(),
            text=FileText(file, "# My project\n") if file else None,
            diff="" if diff else None,
            diff_cut=False,
            not_compared=(),
            trust="contained",
            tier="strong",
            mechanisms=("bubblewrap",),
            seconds={"render": 0.1},
        )

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[frozenset[str]]]:
        send, receive = anyio.create_memory_object_stream[frozenset[str]](1000)
        self._listeners.add(send)
        try:
            with send, receive:
                yield receive
        finally:
            self._listeners.discard(send)

    def load(self) -> Load:
        return Load(1, 2, {"idle": 3, "busy": 1, "coming": 0}, {"hit": 4, "miss": 5}, {"hit": 6, "miss": 7})

    async def _hold(self, sink: Sink) -> None:
        try:
            await _walk(STEPS_OF_CREATE, sink)
            self.held.release()
            await self._released.wait()
        except anyio.get_cancelled_exc_class():
            # What a real create leaves to do when it is cancelled takes a moment, and is done all the same.
            with anyio.CancelScope(shield=True):
                await anyio.Path(self.outputs / "cancelled").touch()
                self.cancelled.set()
            raise

    def _changed(self, name: str) -> None:
        for listener in self._listeners:
            listener.send_nowait(frozenset({name}))


def _store(home: Path) -> Store:
    """Return a home as a server sees it that nobody can tell from a dead one, since it holds no lock."""
    scratch = home / "scratch" / uuid.uuid4().hex
    for folder in (scratch, home / "tasks", home / "locks"):
        folder.mkdir(parents=True, exist_ok=True)
    return Store(home, scratch, lock_seconds=1.0)


def _refuse_unknown(template_name: str, given: dict[str, Any], variables: tuple[VariableInfo, ...]) -> None:
    known = {variable.name for variable in variables}
    if problems := tuple(Problem(name, f"`{name}` is not asked") for name in given if name not in known):
        raise InvalidAnswers(template_name, problems, hint="read the variables")


async def _walk(steps: tuple[str, ...], sink: Sink) -> None:
    progress = Progress(steps, sink)
    for step in steps:
        await progress.begin(step)
        await progress.detail(f"half of {step}")

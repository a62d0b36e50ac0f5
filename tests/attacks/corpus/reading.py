"""What of this machine could a template read, and take along into the project?"""

from __future__ import annotations

from pathlib import Path

from attacks.attack import SLUG, Attack
from attacks.scene import Scene


def took_the_secret(scene: Scene) -> bool:
    return scene.secret in scene.loot


def took_the_environment(scene: Scene) -> bool:
    return scene.stage.environment_secret in scene.loot


def leave_another_project(scene: Scene) -> None:
    folder = scene.stage.home / "outputs" / "of-another"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "secret.txt").write_text(scene.secret)


def leave_another_template(scene: Scene) -> None:
    folder = scene.stage.home / "checkouts" / "of-another"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "secret.txt").write_text(scene.secret)


def took_the_list_of_users(scene: Scene) -> bool:
    return Path("/etc/passwd").read_text().splitlines()[0] in scene.loot


ATTACKS = (
    Attack(
        "reads-a-key",
        "read a private key in a person's folder",
        "the first thing that stealers of credentials do",
        took_the_secret,
        hook="keep(open('<<key>>').read())",
    ),
    Attack(
        "reads-users",
        "read `/etc/passwd`",
        "bubblewrap: what is visible is what the arguments say",
        took_the_list_of_users,
        hook="keep(open('/etc/passwd').read())",
    ),
    Attack(
        "lists-a-folder",
        "list a person's folder",
        "landlock(7), `READ_DIR`",
        took_the_secret,
        hook="keep(os.listdir('<<person>>/private'))",
    ),
    Attack(
        "reads-projects",
        "read a project of somebody else",
        "two tenants of one server",
        took_the_secret,
        hook="keep(open('<<home>>/outputs/of-another/secret.txt').read())",
        prepare=leave_another_project,
    ),
    Attack(
        "reads-templates",
        "read another template",
        "two tenants of one server",
        took_the_secret,
        hook="keep(open('<<home>>/checkouts/of-another/secret.txt').read())",
        prepare=leave_another_template,
    ),
    Attack(
        "asks-for-a-file",
        "find out that a file is there, and its size",
        "landlock(7): `stat` is never restricted",
        lambda scene: str(scene.size) in scene.loot,
        hook="keep(os.stat('<<key>>').st_size)",
        alone="worked",
        by_user="worked",
    ),
    Attack(
        "reads-environment",
        "read a secret in the server's environment",
        "cookiecutter hooks inherit the environment",
        took_the_environment,
        hook="keep(dict(os.environ))",
    ),
    Attack(
        "reads-environments-of-others",
        "read the environment of every process in `/proc`",
        "proc(5), `/proc/PID/environ`",
        took_the_environment,
        hook="""
for number in os.listdir('/proc'):
    try:
        keep(open('/proc/' + number + '/environ').read())
    except OSError:
        pass
""",
    ),
    Attack(
        "reads-open-files",
        "read a file that the server has open",
        "CVE-2024-21626, a descriptor left open for a container",
        lambda scene: scene.stage.open_secret in scene.loot,
        files={
            f"{SLUG}/files": "{% set os = cycler.__init__.__globals__.os %}"
            "{% for name in os.listdir('/proc/self/fd') %}"
            "{% if os.path.realpath('/proc/self/fd/' + name) == '<<open>>' %}{{ os.pread(name|int, 100, 0) }}"
            "{% endif %}{% endfor %}"
        },
    ),
)

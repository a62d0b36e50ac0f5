"""What outside of its project could a template change?"""

from __future__ import annotations

from attacks.attack import Attack
from attacks.scene import Scene

POISON = "poison-of-an-attack"


def changed(scene: Scene) -> bool:
    return scene.changed


def poisoned(scene: Scene) -> bool:
    """Look for the file that the attack leaves, and take it away again."""
    found = [path for top in (scene.stage.home, scene.template) for path in top.rglob(POISON)]
    for path in found:
        path.unlink()
    return found != []


ATTACKS = (
    Attack(
        "writes",
        "write a file into a person's folder",
        "what 25 of 28 attacks on plain cookiecutter end in",
        changed,
        hook="open('<<person>>/new', 'w').write('written')",
    ),
    Attack(
        "appends",
        "append to a file of a person, such as `.bashrc`",
        "the usual way to stay on a machine",
        changed,
        hook="open('<<victim>>', 'a').write('written')",
    ),
    Attack(
        "truncates",
        "empty a file of a person without opening it",
        "landlock(7): not restricted before ABI 3",
        changed,
        hook="os.truncate('<<victim>>', 0)",
    ),
    Attack(
        "removes",
        "remove a file of a person",
        "landlock(7), `REMOVE_FILE`",
        changed,
        hook="os.remove('<<victim>>')",
    ),
    Attack(
        "moves",
        "move a file of a person into the project",
        "landlock(7), `REFER`",
        changed,
        hook="os.rename('<<victim>>', 'moved')",
    ),
    Attack(
        "links",
        "make a hard link to a file of a person",
        "landlock(7), `REFER`; protected_hardlinks",
        changed,
        hook="os.link('<<key>>', 'linked')",
    ),
    Attack(
        "changes-modes",
        "let everybody read and write a file of a person",
        "landlock(7): `chmod` is never restricted",
        changed,
        hook="os.chmod('<<key>>', 0o777)",
        alone="worked",
    ),
    Attack(
        "changes-times",
        "change the times of a file of a person",
        "landlock(7): `utime` is never restricted",
        changed,
        hook="os.utime('<<victim>>', (1, 1))",
        alone="worked",
    ),
    Attack(
        "changes-attributes",
        "give a file of a person an extended attribute",
        "landlock(7): `setxattr` is never restricted",
        changed,
        hook="os.setxattr('<<victim>>', 'user.canary', b'set')",
    ),
    Attack(
        "poisons-its-environment",
        "leave code in the environment that all later projects are made in",
        "CVE-2024-27297 (Nix): one build changes what others use",
        poisoned,
        hook=f"""
for folder in sys.path:
    if folder.endswith('site-packages'):
        open(folder + '/{POISON}', 'w').write('written')
""",
    ),
    Attack(
        "poisons-itself",
        "leave code in its own checkout, after it was looked at",
        "bound to a commit, a template must stay what it was",
        poisoned,
        hook=f"open('{{{{cookiecutter._repo_dir}}}}/{POISON}', 'w').write('written')",
    ),
    Attack(
        "poisons-others",
        "leave a file in the server's own folder",
        "CVE-2024-27297 (Nix)",
        poisoned,
        hook=f"open('<<home>>/{POISON}', 'w').write('written')",
    ),
    Attack(
        "leaves-a-message",
        "leave something in shared folders that the next template finds",
        "CVE-2024-27297 (Nix): two builds that work together",
        lambda scene: "found what was left" in scene.loot,
        hook="""
import tempfile
for folder in sorted({'/dev/shm', '/tmp', '/var/tmp', os.path.expanduser('~'), tempfile.gettempdir()}):
    try:
        if os.path.exists(folder + '/<<marker>>'):
            keep('found what was left')
            os.remove(folder + '/<<marker>>')
        else:
            open(folder + '/<<marker>>', 'w').close()
    except OSError:
        pass
""",
        twice=True,
    ),
)

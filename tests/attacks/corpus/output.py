"""What could a template leave in the project, or in its place, that harms later?"""

from __future__ import annotations

import stat

from attacks.attack import SLUG, Attack
from attacks.corpus.reading import took_the_secret
from attacks.corpus.writing import changed
from attacks.scene import Scene


def left_a_link(scene: Scene) -> bool:
    return any(path.is_symlink() and path.resolve().is_relative_to(scene.person) for path in scene.made)


def put_a_link_in_place_of_the_project(scene: Scene) -> None:
    (scene.projects / "made").symlink_to(scene.person / "private")


def put_a_link_in_place_of_a_file(scene: Scene) -> None:
    (scene.projects / "made").mkdir()
    (scene.projects / "made" / "README.md").symlink_to(scene.person / "victim.txt")


ATTACKS = (
    Attack(
        "leaves-a-link",
        "leave a link to a private key in the project",
        "CVE-2026-23968 (copier)",
        left_a_link,
        hook="os.symlink('<<key>>', 'link')",
    ),
    Attack(
        "leaves-a-link-to-a-folder",
        "leave a link to a person's folder in the project",
        "CVE-2026-23986 (copier)",
        left_a_link,
        hook="os.symlink('../../person', 'link')",
    ),
    Attack(
        "becomes-a-link",
        "replace the project by a link while it is made",
        "a path that is looked at and then used",
        lambda scene: left_a_link(scene) or took_the_secret(scene),
        hook="os.chdir('..')\nos.rename('made', 'moved')\nos.symlink('<<person>>/private', 'made')",
        told="removed or replaced its own project folder",
    ),
    Attack(
        "leaves-a-set-uid-file",
        "leave a program that runs as whoever owns it",
        "chmod(2), `S_ISUID`; Nix refuses it likewise",
        lambda scene: any(path.lstat().st_mode & stat.S_ISUID for path in scene.made),
        hook="open('tool', 'w').close(); os.chmod('tool', 0o4755)",
    ),
    Attack(
        "leaves-a-pipe",
        "leave a FIFO, on which a reader waits for ever",
        "mkfifo(3)",
        lambda scene: scene.has(stat.S_IFIFO),
        hook="os.mkfifo('pipe')",
    ),
    Attack(
        "leaves-a-device",
        "leave a device",
        "mknod(2), `CAP_MKNOD`",
        lambda scene: scene.has(stat.S_IFCHR),
        hook="os.mknod('device', 0o20666, os.makedev(1, 3))",
        root_only=True,
    ),
    Attack(
        "writes-beside",
        "write beside the project, into the folder that it is made in",
        "`..` in a hook",
        lambda scene: (scene.projects / "beside").exists(),
        hook="open('../beside', 'w').close()",
    ),
    Attack(
        "follows-a-folder-link",
        "write through a link that somebody left in the project's place",
        "CVE-2026-23986 (copier)",
        changed,
        files={f"{SLUG}/through": "written"},
        prepare=put_a_link_in_place_of_the_project,
    ),
    Attack(
        "follows-a-file-link",
        "write through a link that somebody left in a file's place",
        "CVE-2026-23986 (copier)",
        changed,
        prepare=put_a_link_in_place_of_a_file,
    ),
)

"""Takes away the files nobody asked for and, when asked, makes the first commit.

The template engine renders this file first; the answers reach it as JSON, never as Python source.
The working directory is the new project, which may be moved afterwards: every path is relative.
"""

import json
import os
from pathlib import Path

ANSWERS = json.loads(r'''{{ cookiecutter | tojson }}''')

OPTIONAL = {"github_actions": [".github/workflows/check.yml"]}


def remove(path):
    """Removes a file, and the folders it leaves empty."""
    path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == Path() or any(folder.iterdir()):
            return
        folder.rmdir()


def commit():
    """Makes a repository with one commit; a project without one is still a project, so trouble is only told."""
    # Imported here: most projects do not ask for a repository, and every project waits for its hooks.
    import shutil
    import subprocess

    if Path(".git").exists():
        print("the folder is a git repository already, so nothing is committed")
        return
    git = shutil.which("git")
    if git is None:
        print("git is not installed, so the project is not a repository yet")
        return
    # Set when a git hook runs us; they would point git at somebody else's repository.
    elsewhere = {"GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"}
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    for arguments in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all"],
        # Signing may ask for a passphrase, and nobody is there to answer.
        ["commit", "--quiet", "--no-gpg-sign", "--message=Initial commit"],
    ):
        try:
            done = subprocess.run(
                [git, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=60,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        else:
            if done.returncode == 0:
                continue
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        print(f"`git {arguments[0]}` failed, the rest is left to you: {reason}")
        return


for name, paths in OPTIONAL.items():
    if not ANSWERS[name]:
        for path in paths:
            remove(Path(path))
if ANSWERS["git_init"]:
    commit()

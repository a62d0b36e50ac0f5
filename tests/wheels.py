"""Packages that a test publishes: wheels, in a package index of its own that lies in a folder."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from packaging.utils import canonicalize_name


def publish(index: Path, name: str, files: dict[str, str]) -> str:
    """Put a wheel into an index; return the index's address, for `UV_INDEX`.

    Args:
        index: Its folder.
        name: The package's, as a module's.
        files: What the wheel holds, by path; what begins with `data/` goes to the environment's own folder.
    """
    information = f"{name}-1.0.dist-info"
    content = {
        **{path.replace("data/", f"{name}-1.0.data/data/", 1): text for path, text in files.items()},
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in content.items()]
    folder = index / canonicalize_name(name)
    folder.mkdir(parents=True)
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**content, f"{information}/RECORD": "".join([*record, f"{information}/RECORD,,\n"])}.items():
            archive.writestr(path, text)
    (folder / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    return index.as_uri()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()

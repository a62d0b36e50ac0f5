"""A real package index on loopback, which answers as indexes do, also as broken and as hostile ones do."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import ssl
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sources.repositories import SECONDS

JSON = "application/vnd.pypi.simple.v1+json"
TEMPLATE = {
    "cookiecutter.json": '{"slug": "x"}',
    "{{cookiecutter.slug}}/README.md": "# {{cookiecutter.slug}}\n",
}


def wheel(files: dict[str, str], *, name: str = "tmpl", version: str = "1.0") -> bytes:
    """Make a wheel of files, by path."""
    about = f"{name}-{version}.dist-info"
    content = {**files, f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in content.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return made.getvalue()


def sdist(files: dict[str, str], *, name: str = "tmpl", version: str = "1.0") -> bytes:
    """Make a source distribution of files, by path."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for path, text in {**files, "PKG-INFO": f"Name: {name}\n"}.items():
            info = tarfile.TarInfo(f"{name}-{version}/{path}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return made.getvalue()


def inside(folder: str) -> dict[str, str]:
    """Return a template's files in a folder."""
    return {f"{folder}/{path}": text for path, text in TEMPLATE.items()}


class Index(ThreadingHTTPServer):
    """Serves `/simple/NAME/` and `/files/NAME`; `ways` says how a path is answered otherwise, answer by answer.

    A way is a status, `cut`, `stall`, `hang` (in the middle), or an address that it leads to.
    """

    daemon_threads = False
    block_on_close = True

    def __init__(self, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._scheme = "http" if certificate is None else "https"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.prefix = ""
        """What stands before all of its paths."""
        self.pages: dict[str, list[dict[str, Any]]] = {}
        self.html: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.ways: dict[str, list[str]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.stalled = threading.Event()
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.server_address[1]}{self.prefix}/simple"

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def put(self, filename: str, content: bytes, *, package: str = "tmpl", **said: Any) -> dict[str, Any]:
        """Publish a file; `said` is what the page says of it otherwise."""
        self.files[filename] = content
        entry = {
            "filename": filename,
            "url": f"../../files/{filename}",
            "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
            "upload-time": "2026-01-01T00:00:00Z",
            "yanked": False,
            **said,
        }
        self.pages.setdefault(package, []).append(entry)
        return entry

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are what the tests are about."""


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Index]:
    """Serve an empty index, by https where there is a certificate."""
    index = Index(certificate)
    thread = threading.Thread(target=index.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield index
    finally:
        index.released.set()
        index.shutdown()
        index.server_close()
        thread.join(SECONDS)
        assert not thread.is_alive()


class _Handler(BaseHTTPRequestHandler):
    server: Index

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing."""

    def do_GET(self) -> None:
        server = self.server
        server.asked.append((self.path, self.headers.get("Authorization")))
        ways = server.ways.get(self.path, [])
        way = (ways.pop(0) if len(ways) > 1 else ways[0]) if ways else ""
        content, kind = self._content()
        if way == "stall":
            server.stalled.set()
            server.released.wait(SECONDS)
        elif way == "hang" and content is not None:
            self._send(200, content[: len(content) // 2], kind, length=len(content))
            server.stalled.set()
            server.released.wait(SECONDS)
        elif way == "cut" and content is not None:
            self._send(200, content[: len(content) // 2], kind, length=len(content))
        elif way.startswith("http"):
            self._send(302, b"", kind, location=way)
        elif way.isdecimal():
            self._send(int(way), b"no", kind)
        elif content is None:
            self._send(404, b"no such thing", kind)
        else:
            self._send(200, content, kind)

    def _content(self) -> tuple[bytes | None, str]:
        place, _, name = self.path.removeprefix(self.server.prefix).strip("/").partition("/")
        if place == "files":
            return self.server.files.get(name), "application/octet-stream"
        if place == "simple" and name in self.server.html:
            return self.server.html[name].encode(), "text/html"
        if place == "simple" and name in self.server.pages:
            page = {"meta": {"api-version": "1.1"}, "name": name, "files": self.server.pages[name]}
            return json.dumps(page).encode(), JSON
        return None, "text/plain"

    def _send(
        self, status: int, body: bytes, kind: str, *, length: int | None = None, location: str | None = None
    ) -> None:
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            if location is not None:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

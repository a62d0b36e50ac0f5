"""Real repositories made by real git, and a real https server that serves them."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

from dynamo_mcp.types import Checkout, Location

SECONDS = 30

GIT_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.invalid",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.invalid",
}


class Fetch(Protocol):
    """Fetches a location as this test's settings say, with some of them changed."""

    async def __call__(self, location: Location, **changes: object) -> Checkout: ...


class Repository:
    """A repository with a work tree."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "-b", "main")

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=GIT_ENVIRONMENT,
            input=stdin,
            check=True,
            capture_output=True,
            timeout=SECONDS,
        )
        return done.stdout.decode().strip()

    def write(self, name: str, content: str = "", *, executable: bool = False) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
        path.chmod(0o755 if executable else 0o644)
        return path

    def commit(self, message: str = "change") -> str:
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def tree(self, *lines: str) -> str:
        """Make a tree object from `<mode> <type> <object>\\t<name>` lines, whether or not a work tree could hold it."""
        text = "".join(f"{line}\0" for line in lines)
        return self.git("mktree", "-z", "--missing", stdin=text.encode("utf-8", "surrogateescape"))

    def blob(self, content: bytes = b"") -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content)

    def commit_tree(self, tree: str) -> str:
        """Make a tree the head of `main`, without checking it out."""
        commit = self.git("commit-tree", "-m", "made", tree)
        self.git("update-ref", "refs/heads/main", commit)
        return commit


class Server(ThreadingHTTPServer):
    """Serves a folder of repositories by https: `/smart/`, `/dumb/`, and paths that fail in the ways that hosts do."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, folder: Path, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.certificate = certificate
        self.asked = threading.Event()
        self.released = threading.Event()
        self.paths: list[str] = []
        self.authorizations: list[str] = []
        self.signed: list[tuple[str, str]] = []
        self.opens = ""
        self.sent = 0
        """Bytes that git was answered."""
        self.breaks: list[str] = []
        """What becomes of the next requests of git: `503`, `cut`, `stall`, `gone`; nothing of an empty one."""
        self.files_to_cut = 0
        """Answers of `/cuts/` after the first one that end in the middle."""
        self.hosts: list[str] = []
        self.leads = ""
        self.told: tuple[tuple[str, str], ...] = ()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that refuses the certificate, or is killed, is what the tests are about."""

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        connection.settimeout(SECONDS)
        return connection, address


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.server.paths.append(self.path)
        self.server.authorizations += filter(None, [self.headers.get("Authorization")])
        self.server.hosts.append(self.headers.get("Host", ""))
        authorization = self.headers.get("Authorization", "")
        self.server.signed += [(self.headers.get("Host", "").partition(":")[0], authorization)] if authorization else []
        kind, _, rest = self.path.removeprefix("/").partition("/")
        if kind == "smart":
            self._run_backend(rest)
        elif kind == "dumb" and (self.server.folder / rest.partition("?")[0]).is_file():
            self._send(200, (self.server.folder / rest.partition("?")[0]).read_bytes())
        elif kind == "signed" and authorization == self.server.opens:
            self._run_backend(rest)
        elif kind == "private" or (kind == "signed" and not authorization):
            self._send(401, b"", ("WWW-Authenticate", 'Basic realm="x"'))
        elif kind == "moved":
            self._send(302, b"", ("Location", f"{self.server.url}/smart/{rest}"))
        elif kind == "hops":
            more, _, rest = rest.partition("/")
            self._send(307, b"", ("Location", f"/hops/{int(more) - 1}/{rest}" if int(more) > 1 else f"/smart/{rest}"))
        elif kind == "leads":
            self._send(301, b"", ("Location", self.server.leads.format(rest)))
        elif kind == "silent":
            self.server.asked.set()
            self.server.released.wait(SECONDS)
        elif kind == "page":
            self._send(200, b"<html>\n<p>welcome</p>\n</html>\n", ("Content-Type", "text/html"))
        else:
            self._answer_of_files(kind, rest)

    def _answer_of_files(self, kind: str, rest: str) -> None:
        """Answer as hosts of single files do."""
        if kind == "told":
            body = (self.server.folder / rest).read_bytes()
            self._send(200, body, *self.server.told)
            return
        if kind == "signed":
            # A host may say back what it was told.
            body = f"no entry with {self.headers['Authorization']}\n".encode()
            self._send(403, body, ("Content-Type", "text/plain"))
        elif kind == "query":
            self._send(302, b"", ("Location", f"/dumb/{rest}?signed=1#part"))
        elif kind == "busy" and self.server.paths.count(self.path) < int(rest.partition("/")[0]):
            self._send(503, b"later")
        elif kind == "busy":
            self._send(200, (self.server.folder / rest.partition("/")[2]).read_bytes())
        elif kind == "cut" or (kind == "cuts" and self.server.paths.count(self.path) <= 1 + self.server.files_to_cut):
            body = (self.server.folder / rest).read_bytes()
            self._send(200, body[: len(body) // 2], ("Content-Length", str(len(body))))
        elif kind == "cuts":
            self._send(200, (self.server.folder / rest).read_bytes())
        elif kind == "endless":
            self._send(200, b"", ("Transfer-Encoding", "chunked"))
            with contextlib.suppress(OSError):
                while not self.server.released.is_set():
                    self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        else:
            self._send(404, b"no such thing")

    def _send(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if not {"Content-Length", "Transfer-Encoding"} & {name for name, _ in headers}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _break_off(self, how: str, body: bytes) -> None:
        """Fail as networks and hosts do."""
        if how == "503":
            self._send(503, b"later")
        elif how == "cut":
            kind = f"application/x-git-upload-pack-{'result' if self.command == 'POST' else 'advertisement'}"
            self._send(200, body[: len(body) // 2], ("Content-Type", kind), ("Content-Length", str(len(body))))
        elif how == "stall":
            self.server.asked.set()
            self.server.released.wait(SECONDS)
        self.close_connection = True

    def _run_backend(self, rest: str) -> None:
        path, _, query = rest.partition("?")
        done = subprocess.run(
            ["git", "http-backend"],
            env=GIT_ENVIRONMENT
            | {
                "GIT_PROJECT_ROOT": str(self.server.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": f"/{path}",
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_ADDR": "127.0.0.1",
            },
            input=self.rfile.read(int(self.headers.get("Content-Length", 0))),
            capture_output=True,
            check=True,
            timeout=SECONDS,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        breaks = self.server.breaks.pop(0) if self.server.breaks else ""
        if breaks:
            self._break_off(breaks, body)
            return
        self.server.sent += len(body)
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in head.decode().splitlines())]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self._send(status, body, *(header for header in headers if header[0] != "Status"))

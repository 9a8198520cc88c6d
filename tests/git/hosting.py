"""A git host on loopback: git's own `http-backend`, run as CGI, behind HTTP Basic.

Law: what git says is git's; here only the password is asked for, and what was sent is written down.
"""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from attrs import define, field

USER, PASSWORD = "ann", "token-that-nobody-may-log"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def git(*arguments: str, cwd: Path) -> str:
    """Run git, untouched by whatever the machine's owner has configured."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ann",
        "GIT_AUTHOR_EMAIL": "ann@example.test",
        "GIT_COMMITTER_NAME": "Ann",
        "GIT_COMMITTER_EMAIL": "ann@example.test",
    }
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, env=env, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def make_repository(root: Path, name: str, files: dict[str, bytes]) -> Path:
    """A bare repository with one commit on `main`, that takes pushes."""
    work = root / f"{name}-work"
    work.mkdir()
    git("init", "--initial-branch=main", cwd=work)
    for path, content in files.items():
        (work / path).write_bytes(content)
    git("add", ".", cwd=work)
    git("commit", "--message=First", cwd=work)
    bare = root / f"{name}.git"
    git("clone", "--bare", str(work), str(bare), cwd=root)
    git("config", "http.receivepack", "true", cwd=bare)
    return bare


@define
class GitHost:
    """Where the repositories are, and what came.

    Attributes:
        redirects: Path to the URL that it leads to.
        requests: Method, target and fields of each request.
    """

    root: Path
    port: int = 0
    redirects: dict[str, str] = field(factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(factory=list)

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, repository: str) -> str:
        return f"http://{self.authority}/{repository}.git"


@contextmanager
def serving_git(root: Path, address: str = "127.0.0.1", port: int = 0) -> Iterator[GitHost]:
    """Serve the repositories below a folder."""
    host = GitHost(root)

    class Handler(_Handler):
        served = host

    server = ThreadingHTTPServer((address, port), Handler)
    server.daemon_threads = False
    host.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="git-host")
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: GitHost
    timeout = 20

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def log_message(self, *_: Any) -> None: ...

    def _answer(self, body: bytes) -> None:
        fields = {name.lower(): value for name, value in self.headers.items()}
        self.served.requests.append((self.command, self.path, fields))
        path, _, query = self.path.partition("?")
        for old, new in self.served.redirects.items():
            if path.startswith(old):
                place = new + self.path.removeprefix(old)
                return self._say(301, {"location": place, "content-length": "0"})
        if fields.get("authorization") != BASIC:
            words = b"Sign in with a token.\n"
            head = {
                "www-authenticate": 'Basic realm="git host"',
                "content-type": "text/plain",
                "set-cookie": "host=1",
                "content-length": str(len(words)),
            }
            return self._say(401, head, words)
        return self._run(path, query, fields, body)

    def _run(self, path: str, query: str, fields: dict[str, str], body: bytes) -> None:
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.served.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(self.served.root),
            "REMOTE_USER": USER,
            "REMOTE_ADDR": "127.0.0.1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": fields.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": fields.get("git-protocol", ""),
            "HTTP_CONTENT_ENCODING": fields.get("content-encoding", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], env=env, input=body, capture_output=True, check=False
        )
        head, _, out = done.stdout.partition(b"\r\n\r\n")
        sent = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if line)
        status = int(sent.pop("Status", "200").split()[0])
        # As a real host: the length of a pack isn't known before it is made.
        self._say(status, {**sent, "transfer-encoding": "chunked"}, out, chunked=True)

    def _say(
        self, status: int, fields: dict[str, str], body: bytes = b"", *, chunked: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for at in range(0, len(body), 8192):
                part = body[at : at + 8192]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
            if chunked:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("content-length") or 0))

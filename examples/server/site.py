"""The page's files as routes, behind the same guards as the API.

Law: a file is served only if it was there when the server started, by its exact name; so no path
that a client makes up reaches the disk.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from attrs import frozen

from openbolt import Headers, Request, Response
from openbolt.routing import Route

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


def page_policy(preview_origin: str | None, /) -> str:
    """The page's Content-Security-Policy: its own files, and previews in frames."""
    pattern = preview_origin or "http://{token}.localhost:*"
    previews = re.sub(r"//.*\{token\}[^.:/]*", "//*", pattern).rstrip("/")
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' {previews}; frame-src 'self' {previews}; "
        "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


@frozen
class PageFile:
    """A file, read once and answered as it is."""

    data: bytes
    content_type: str
    etag: str
    policy: str

    async def __call__(self, request: Request, /) -> Response:
        """The file, or 304 if the browser has it."""
        headers = Headers.of(
            {
                "etag": self.etag,
                "cache-control": "no-cache",
                "content-security-policy": self.policy,
                "referrer-policy": "same-origin",
            }
        )
        if self.etag in (request.headers.get("if-none-match") or ""):
            return Response(304, headers)
        return Response(200, headers.with_({"content-type": self.content_type}), self.data)


def page_routes(folder: Path, policy: str, /) -> list[Route]:
    """A route for each file below a folder; ``index.html`` is also ``/``."""
    routes: list[Route] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in _TYPES:
            data = path.read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
            file = PageFile(data, _TYPES[path.suffix], tag, policy)
            name = path.relative_to(folder).as_posix()
            routes.append(Route("GET", f"/{name}", file))
            if name == "index.html":
                routes.append(Route("GET", "/", file))
    return routes

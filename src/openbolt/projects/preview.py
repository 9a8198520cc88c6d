"""A project's static files, shown live where they can't touch us.

Law: model-written pages never run in our origin. They are served under a host of their own
(``<token>.localhost``, or the pattern in ``preview_origin``), or by path with a CSP ``sandbox``
that gives them an opaque origin. The token is a capability with an expiry; no cookie is set or
read.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from attrs import frozen

from openbolt.access import LinkBearer, Resource, principal_of
from openbolt.bodies import json_response
from openbolt.errors import ConfigurationError, MethodNotAllowedError, NotFoundError
from openbolt.guards import error_response
from openbolt.http import Answering, Handler, Headers, Request, Response
from openbolt.jsons import json_bytes, parse_json
from openbolt.limiting import RateLimits, rate_limited
from openbolt.projects.store import FileEntry, Manifest, Project, ProjectStore
from openbolt.protocols import Clock, KeyValueStore, TokenSource
from openbolt.settings import LOOPBACK_HOSTS, Settings

__all__ = ["MakePreview", "ShowPreview", "serve_preview_hosts"]

_TOKEN = re.compile(r"[a-z2-7]{26}")
_TYPES = {
    "html": "text/html; charset=utf-8",
    "htm": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "md": "text/plain; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "xml": "application/xml",
    "map": "application/json",
    "wasm": "application/wasm",
    "webmanifest": "application/manifest+json",
    "pdf": "application/pdf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "ico": "image/x-icon",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "ttf": "font/ttf",
    "otf": "font/otf",
}
_SANDBOX = "sandbox allow-scripts allow-forms allow-modals allow-popups allow-downloads"


@frozen
class MakePreview:
    """``POST /api/projects/{id}/preview``: a link; the same one while it lives.

    The link is stable because a page's localStorage lives at its origin.
    """

    projects: ProjectStore
    kv: KeyValueStore
    clock: Clock
    tokens: TokenSource
    settings: Settings

    async def __call__(self, request: Request, /) -> Response:
        """Make or prolong the project's preview link."""
        owner = principal_of(request)
        project = await self.projects.load(request.path_params["id"], owner=owner, to="write")
        key = f"project:{project.id}/preview"
        known = await self.kv.get(key)
        token = known.decode() if known else self.tokens.token()
        ttl = self.settings.preview_ttl
        await self.kv.set(f"preview:{token}", json_bytes(_record(project)), ttl=ttl)
        await self.kv.set(key, token.encode(), ttl=ttl)
        expires = datetime.fromtimestamp(self.clock.now() + ttl, UTC)
        body = {
            "url": self._url(request, token),
            "sandboxUrl": f"{request.root_path}/preview/{token}/",
            "expiresAt": expires.isoformat().replace("+00:00", "Z"),
        }
        return json_response(body)

    def _url(self, request: Request, token: str) -> str | None:
        if self.settings.preview_origin:
            return self.settings.preview_origin.replace("{token}", token).rstrip("/") + "/"
        if request.root_path:
            return None  # a mounted application isn't given the paths above its mount point
        host, _, port = request.host.rpartition(":")
        if not port.isdigit():
            host, port = request.host, ""
        if host not in LOOPBACK_HOSTS:
            return None
        return f"{request.scheme}://{token}.localhost{':' + port if port else ''}/"


@frozen
class ShowPreview:
    """``GET /preview/{token}/{path}``, and every path of a preview host."""

    projects: ProjectStore
    kv: KeyValueStore
    settings: Settings

    async def __call__(self, request: Request, /) -> Response:
        """A file by path, in a sandbox."""
        token = request.path_params["token"]
        if request.path.endswith(f"/{token}") and _TOKEN.fullmatch(token):
            # Without the slash, relative links would lead out of the preview.
            return Response(308, Headers.of(location=f"{request.root_path}/preview/{token}/"))
        return await self.show(request, token, request.path_params.get("path", ""), sandboxed=True)

    async def show(
        self, request: Request, token: str, path: str, /, *, sandboxed: bool
    ) -> Response:
        """A file of the project that the token stands for, as it is now; errors may be framed."""
        headers = self._headers(sandboxed=sandboxed)
        try:
            entry, data = await self._read(token, path)
        except NotFoundError as exc:
            error = error_response(exc, request_id=request.context.request_id)
            return error.with_headers(dict(headers.items))
        return Response(200, headers.with_({"content-type": _content_type(entry.path)}), data)

    async def _read(self, token: str, path: str) -> tuple[FileEntry, bytes]:
        raw = await self.kv.get(f"preview:{token}") if _TOKEN.fullmatch(token) else None
        if raw is None:
            raise NotFoundError("This preview link has expired. Open the preview again.")
        record = parse_json(raw)
        try:
            bearer = LinkBearer.of(Resource("project", record["owner"], record["project"]))
            project = await self.projects.load(record["project"], owner=bearer)
        except NotFoundError:
            project = None
        if project is None or _record(project) != record:
            raise NotFoundError("This project was deleted.")
        entry = _find(await self.projects.manifest(project), path)
        if entry is None:
            raise NotFoundError(f"There is no file {path or 'index.html'} here.")
        return entry, await self.projects.read_blob(entry)

    def _headers(self, *, sandboxed: bool) -> Headers:
        # Where only one's own machine can reach the server, pages may be framed by any of its
        # ports: a development server in front of this one is usual.
        ancestors = ["'self'", "http://localhost:*", "http://127.0.0.1:*"]
        if self.settings.public_url:
            parts = urlsplit(self.settings.public_url)
            ancestors.append(f"{parts.scheme}://{parts.netloc}")
        policy = f"frame-ancestors {' '.join([*ancestors, *self.settings.trusted_origins])}"
        return Headers.of(
            {
                "content-security-policy": f"{_SANDBOX}; {policy}" if sandboxed else policy,
                "cache-control": "no-store",
                "referrer-policy": "no-referrer",
                # An opaque origin loads its own modules cross-origin; the token is the secret.
                "cross-origin-resource-policy": "cross-origin",
                "access-control-allow-origin": "*",
            }
        )


def _record(project: Project) -> dict[str, object]:
    """What a link stands for: this project, not a later one under the same id."""
    return {"project": project.id, "owner": project.owner, "created": project.created_at}


def serve_preview_hosts(
    handler: Handler, /, show: ShowPreview, settings: Settings, limits: RateLimits | None = None
) -> Handler:
    """Answer preview hosts with previews and nothing else; the rest goes on to the handler.

    Args:
        limits: The policy ``previews`` of these holds for them.

    Raises:
        ConfigurationError: When made: ``preview_origin`` has no ``{token}`` in its host.
    """
    pattern = _host_pattern(settings)

    async def shown(request: Request, /) -> Response:
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowedError("A preview is only read.", allowed=("GET", "HEAD"))
        token = pattern.fullmatch(request.host)
        assert token is not None
        path = request.path.lstrip("/")
        return await show.show(request, token["token"], path, sandboxed=False)

    preview: Handler = shown if limits is None else rate_limited(shown, limits, ["previews"])

    def served(request: Request, /) -> Answering:
        is_preview = pattern.fullmatch(request.host) is not None
        return (preview if is_preview else handler)(request)

    return served


def _host_pattern(settings: Settings) -> re.Pattern[str]:
    token = r"(?P<token>[a-z2-7]{26})"
    if settings.preview_origin:
        parts = urlsplit(settings.preview_origin)
        before, found, after = parts.netloc.partition("{token}")
        if parts.scheme not in {"http", "https"} or not found or parts.path.strip("/"):
            raise ConfigurationError(
                "preview_origin must be an origin with {token} in its host, as "
                f"https://{{token}}.preview.example, not {settings.preview_origin!r}; "
                "set OPENBOLT_PREVIEW_ORIGIN.",
                setting="preview_origin",
            )
        return re.compile(re.escape(before.lower()) + token + re.escape(after.lower()))
    return re.compile(token + r"\.localhost(?::\d{1,5})?")


def _find(manifest: Manifest, path: str) -> FileEntry | None:
    """The file that a static host would serve for a path."""
    trimmed = path.strip("/")
    inside = f"{trimmed}/index.html" if trimmed else "index.html"
    names = [inside] if path.endswith("/") or not trimmed else [trimmed, f"{trimmed}.html", inside]
    if "." not in trimmed.rpartition("/")[2]:
        names.append("index.html")  # a single-page app's own route
    return next((e for name in names if (e := manifest.find(name)) is not None), None)


def _content_type(path: str) -> str:
    # Not by `mimetypes`, which asks the machine (on Windows, its registry).
    return _TYPES.get(path.rpartition(".")[2].lower(), "application/octet-stream")

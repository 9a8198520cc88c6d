"""Preferences over HTTP: read whole, changed by merge patch.

Law: the server's version is the one that holds. A client that says which state its change was made
from (``If-Match``, or ``?version=``) gets 412 when there is another by now, and reads again; one
that doesn't say changes the fields that it names, whatever the others are.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, cast

from attrs import evolve, frozen

from openbolt.access import owner_of
from openbolt.bodies import json_response, read_json
from openbolt.errors import InvalidRequestError
from openbolt.http import Request, Response
from openbolt.jsons import json_bytes
from openbolt.preferences import PreferenceStore, SavedPreferences

__all__ = ["PatchPreferences", "ReadPreferences"]

_MERGE_PATCH = "application/merge-patch+json"
_ANYTHING = cast("type[Any]", Any)


@frozen
class ReadPreferences:
    """``GET /api/preferences``."""

    preferences: PreferenceStore

    async def __call__(self, request: Request, /) -> Response:
        """All of the caller's preferences, defaults included, and their version."""
        return _answer(await self.preferences.load(owner_of(request)))


@frozen
class PatchPreferences:
    """``PATCH /api/preferences``."""

    preferences: PreferenceStore

    async def __call__(self, request: Request, /) -> Response:
        """Change what the body names; null goes back to the default."""
        owner = owner_of(request)
        only_if = _condition(request)
        patch = await _read_patch(request, self.preferences.max_bytes)
        return _answer(await self.preferences.change(owner, patch, only_if=only_if))


async def _read_patch(request: Request, limit: int) -> dict[str, Any]:
    media = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if media == _MERGE_PATCH:  # RFC 7396's own name for what JSON it is
        json_headers = request.headers.with_({"content-type": "application/json"})
        request = evolve(request, headers=json_headers)
    patch = await read_json(request, _ANYTHING, limit=limit)
    if not isinstance(patch, dict):
        raise InvalidRequestError("body: must be an object", field="body")
    return cast("dict[str, Any]", patch)


def _condition(request: Request) -> Callable[[SavedPreferences], bool] | None:
    """What the request says of the state that it was made from; None if it says nothing."""
    lines = request.headers.get_all("if-match")
    tags = {part.strip() for part in ",".join(lines).split(",")} if lines else {"*"}
    text = request.query_param("version")
    if text is not None and not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise InvalidRequestError("version: must be a whole number", field="version")
    version = None if text is None else int(text)
    if tags == {"*"} and version is None:
        return None

    def holds(saved: SavedPreferences) -> bool:
        is_tagged = "*" in tags or _tag(saved) in tags
        return is_tagged and version in {None, saved.version}

    return holds


def _answer(saved: SavedPreferences) -> Response:
    body = {"version": saved.version, "preferences": saved.effective()}
    return json_response(body, headers={"etag": _tag(saved)})


def _tag(saved: SavedPreferences) -> str:
    """Strong: it differs wherever the answer does, by new defaults too."""
    text = json_bytes(saved.effective(), sort_keys=True)
    return f'"{saved.version}-{sha256(text).hexdigest()[:16]}"'

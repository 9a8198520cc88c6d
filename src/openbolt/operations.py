"""What operators and start pages ask: is it alive, is it ready, which models are there."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from attrs import frozen

from openbolt.bodies import json_response
from openbolt.errors import OpenBoltError
from openbolt.http import Request, Response
from openbolt.protocols import KeyValueStore, LeaseStore, ObjectStore
from openbolt.settings import Settings

__all__ = ["Alive", "ListModels", "Ready"]

_log = logging.getLogger("openbolt")


@frozen
class Alive:
    """``GET /healthz``: the process answers; no store is asked."""

    async def __call__(self, request: Request, /) -> Response:  # noqa: ARG002
        """Always 200."""
        return json_response({"status": "ok"})


@frozen
class Ready:
    """``GET /readyz``: every store answers."""

    kv: KeyValueStore
    objects: ObjectStore
    leases: LeaseStore

    async def __call__(self, request: Request, /) -> Response:  # noqa: ARG002
        """200 if each store answered, else 503; names which did not."""
        checks = {
            "kv": await _answers("kv", lambda: self.kv.get("ready:probe")),
            "objects": await _answers("objects", lambda: self.objects.head("ready/probe")),
            "leases": await _answers("leases", lambda: self.leases.holder("ready:probe")),
        }
        ready = all(checks.values())
        stores = {name: "ok" if fine else "failing" for name, fine in checks.items()}
        status = "ok" if ready else "unavailable"
        return json_response({"status": status, "stores": stores}, status=200 if ready else 503)


async def _answers(name: str, ask: Callable[[], Awaitable[object]]) -> bool:
    try:
        await ask()
    except OpenBoltError as exc:
        _log.warning("readiness: %s does not answer: %s", name, exc)
        return False
    return True


@frozen
class ListModels:
    """``GET /api/models``."""

    settings: Settings

    async def __call__(self, request: Request, /) -> Response:  # noqa: ARG002
        """The models that a request may name, and who answers."""
        settings = self.settings
        models = settings.models or (settings.model,)
        provider = {
            "name": settings.provider_name,
            "mock": settings.provider_name == "mock",
            "notice": settings.notice,
        }
        rows = [{"id": name, "label": name} for name in models]
        return json_response({"default": settings.model, "models": rows, "provider": provider})

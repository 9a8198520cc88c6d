"""What operators and start pages ask: is it alive, is it ready, which models are there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from attrs import frozen

from openbolt.bodies import json_response
from openbolt.errors import OpenBoltError
from openbolt.http import Request, Response
from openbolt.protocols import EventLog, KeyValueStore, LeaseStore, ObjectStore
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
    """``GET /readyz``: every store answers, within ``timeout`` seconds."""

    kv: KeyValueStore
    objects: ObjectStore
    leases: LeaseStore
    events: EventLog
    timeout: float = 5.0

    async def __call__(self, request: Request, /) -> Response:  # noqa: ARG002
        """200 if each store answered, else 503; names which did not."""
        asked = {
            "kv": self.kv.get("ready:probe"),
            "objects": self.objects.head("ready/probe"),
            "leases": self.leases.holder("ready:probe"),
            "events": self.events.has("ready-probe"),
        }
        answers = await asyncio.gather(
            *(_answers(name, asking, self.timeout) for name, asking in asked.items())
        )
        checks = dict(zip(asked, answers, strict=True))
        ready = all(answers)
        stores = {name: "ok" if fine else "failing" for name, fine in checks.items()}
        status = "ok" if ready else "unavailable"
        return json_response({"status": status, "stores": stores}, status=200 if ready else 503)


async def _answers(name: str, asking: Awaitable[object], timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            await asking
    except TimeoutError:
        _log.warning("readiness: %s does not answer within %g s", name, timeout)
        return False
    except OpenBoltError as exc:
        _log.warning("readiness: %s does not answer: %s", name, exc)
        return False
    except Exception:
        _log.exception("readiness: %s broke", name)
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

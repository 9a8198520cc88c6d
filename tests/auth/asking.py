"""The routes of sessions and keys behind the real guards, over stores in memory."""

from __future__ import annotations

from attrs import frozen

from openbolt import Handler, Principal, Request, Settings
from openbolt.access import with_principal
from openbolt.auth.api_keys import ApiKeys
from openbolt.auth.authenticator import SignedInUsers
from openbolt.auth.key_handler import CreateKey, ListKeys, RevokeKey
from openbolt.auth.session_handler import EndSession, EndSessions, ListSessions, SessionEnded
from openbolt.auth.sessions import Sessions
from openbolt.bodies import json_response
from openbolt.clock import SystemTokens
from openbolt.graph import Graph
from openbolt.guards import answer_errors, with_request_id
from openbolt.http import Response
from openbolt.protocols import Authenticator
from openbolt.routing import Route, Router
from openbolt.testing import ManualClock
from tests.stores import in_memory


async def who_am_i(request: Request, /) -> Response:
    """Says what the authenticator found out."""
    found = request.context.principal or Principal("nobody")
    scopes = None if found.scopes is None else sorted(found.scopes)
    return json_response(
        {"user": found.user_id, "scopes": scopes, "session": found.session, "key": found.api_key}
    )


@frozen
class House:
    """One set of stores with what stands on it."""

    clock: ManualClock
    sessions: Sessions
    keys: ApiKeys

    @classmethod
    def of(cls, clock: ManualClock, settings: Settings) -> House:
        graph = Graph.of(in_memory(clock), settings)
        return cls(clock, graph.sessions, graph.api_keys)

    def handler(
        self, authenticator: Authenticator | None = None, *, ended: SessionEnded | None = None
    ) -> Handler:
        """All routes; `SignedInUsers` decides who asks, unless another authenticator does."""
        hooks = {} if ended is None else {"ended": ended}
        routes = Router(
            [
                Route("GET", "/me", who_am_i),
                Route("GET", "/api/auth/sessions", ListSessions(self.sessions)),
                Route("DELETE", "/api/auth/sessions", EndSessions(self.sessions, **hooks)),
                Route("DELETE", "/api/auth/sessions/{id}", EndSession(self.sessions, **hooks)),
                Route("GET", "/api/auth/keys", ListKeys(self.keys)),
                Route("POST", "/api/auth/keys", CreateKey(self.keys)),
                Route("DELETE", "/api/auth/keys/{id}", RevokeKey(self.keys)),
            ]
        )
        who = authenticator or SignedInUsers(self.sessions, self.keys)
        return with_request_id(answer_errors(with_principal(routes, who)), SystemTokens())

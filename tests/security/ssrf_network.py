"""A small internet on loopback: what is outside, what is inside, and a record of who was reached.

Law: the record is the servers' own, and the interpreter's (its audit events name every address that
a socket is connected to and every name that is looked up), never that of the code under test.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from openbolt.errors import UpstreamError
from openbolt.http import Headers
from openbolt.protocols import OutboundRequest, OutboundResponse
from openbolt.proxy.addresses import Address
from openbolt.testing.scripted import ScriptedServer

OUTSIDE = "127.0.0.1"
"""Stands for a public address: the policy under test allows it."""

INSIDE = "127.0.0.2"
"""Stands for itself: a loopback address that nobody allowed."""

Answer = Sequence[str] | BaseException | None


class StandInResolver:
    """A `Resolver` whose names change their answers between look-ups.

    Args:
        names: For each name its answers in order, of which the last one stays; an exception is
            raised, and None never comes.
        default: The answer for other names.
    """

    def __init__(
        self, names: dict[str, Sequence[Answer]] | None = None, default: Answer = ()
    ) -> None:
        self._names = {name: list(answers) for name, answers in (names or {}).items()}
        self._default = default
        self.asked: list[tuple[str, int]] = []

    async def resolve(self, host: str, port: int, /) -> Sequence[Address]:
        self.asked.append((host, port))
        answers = self._names.get(host, [self._default])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BaseException):
            raise answer
        if answer is None:
            await asyncio.get_running_loop().create_future()
            raise AssertionError
        return [ipaddress.ip_address(text) for text in answer]


class RecordingSender:
    """An `HttpSender` without a network: it remembers, and answers 204."""

    def __init__(self, *, dead: frozenset[str] = frozenset()) -> None:
        self.sent: list[OutboundRequest] = []
        self._dead = dead

    @asynccontextmanager
    async def send(self, request: OutboundRequest, /) -> AsyncGenerator[OutboundResponse]:
        self.sent.append(request)
        if request.connect_to in self._dead:
            raise UpstreamError("It can't be reached.", retryable=True)
        yield OutboundResponse(204, Headers(), _nothing())


async def _nothing() -> AsyncIterator[bytes]:
    for piece in ():
        yield piece


class Connections:
    """What the interpreter says of this process while `recording`: addresses and names."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.lookups: list[str] = []
        self.recording = False
        sys.addaudithook(self._hear)  # for good: hooks can't be taken off

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if not self.recording:
            return
        if event == "socket.connect":
            peer = args[1]
            self.addresses.append(str(peer[0]) if isinstance(peer, tuple) else str(peer))
        elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
            host = str(args[0])
            try:
                ipaddress.ip_address(host)
            except ValueError:
                self.lookups.append(host)


CONNECTIONS = Connections()


@asynccontextmanager
async def two_servers(
    tls: ssl.SSLContext | None = None,
) -> AsyncGenerator[tuple[ScriptedServer, ScriptedServer]]:
    """One server at `OUTSIDE` and one at `INSIDE`, at the same port."""
    scheme = "http" if tls is None else "https"
    outside, inside = ScriptedServer(scheme), ScriptedServer(scheme)
    first = await asyncio.start_server(outside.accept, OUTSIDE, 0, ssl=tls)
    outside.port = inside.port = first.sockets[0].getsockname()[1]
    second = await asyncio.start_server(inside.accept, INSIDE, inside.port, ssl=tls)
    try:
        yield outside, inside
    finally:
        first.close()
        second.close()
        await outside.stop()
        await inside.stop()

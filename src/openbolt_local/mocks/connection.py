"""One HTTP/1.1 connection with its hands on the socket, since faults are made there.

The law: h11 decides what is correct HTTP; whatever is wrong on the wire was asked for by name
(`reset`, or `close` before `finish`).
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qsl, urlsplit

import h11
from attrs import field, frozen

from openbolt_local.mocks.call import MAX_BODY

_READ_SIZE = 64 * 1024
_READ_IN_VAIN = 4 * MAX_BODY


class NotHttpError(Exception):
    """What came in is no HTTP/1.1."""


class BodyTooLargeError(Exception):
    """The request body is over the limit."""


def _path_only(target: str) -> str:
    path, mark, _ = target.partition("?")
    return repr(path + mark)


@frozen
class ReceivedRequest:
    """One request as it came, secrets and all: for tests to look at. Its repr shows none."""

    method: str
    target: str = field(repr=_path_only)
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case; of a repeated header, the last value."""
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of a repeated one, the last value."""
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def json(self) -> dict[str, object]:
        """The body as a JSON object.

        Raises:
            ValueError: the body is something else.
        """
        value: object = json.loads(self.body)
        if not isinstance(value, dict):
            raise ValueError("the body is not a JSON object")
        return {str(key): part for key, part in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


class Connection:
    """Server side of one connection: requests in, one response each out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)
        self._method = b""

    async def receive(self) -> ReceivedRequest | None:
        """The next request, or None when the client is done.

        Raises:
            BodyTooLargeError: answer it and close.
            NotHttpError: answer it and close.
        """
        if self._http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            self._http.start_next_cycle()
        request: h11.Request | None = None
        body = bytearray()
        size = 0
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as exc:
                raise NotHttpError(str(exc)) from exc
            if event is h11.NEED_DATA:
                await self._continue_if_asked()
                self._http.receive_data(await self._reader.read(_READ_SIZE))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                # Read to the end, or the client gets a broken pipe instead of the answer.
                size += len(event.data)
                if size <= MAX_BODY:
                    body += event.data
                elif size > _READ_IN_VAIN:
                    raise BodyTooLargeError
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                if size > MAX_BODY:
                    raise BodyTooLargeError
                self._method = request.method
                return _received(request, bytes(body))
            else:
                return None

    async def _continue_if_asked(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))

    @property
    def reusable(self) -> bool:
        """Whether another request may follow the response that was just sent."""
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def respond(
        self, status: int, headers: Mapping[str, str], body: bytes, *, declared: int | None = None
    ) -> None:
        """A whole response; `declared` is the content-length to claim, if not the true one."""
        length = str(len(body) if declared is None else declared)
        await self.start(status, {**headers, "content-length": length})
        if self._method == b"HEAD":
            await self.finish()
            return
        if body:
            await self._send(h11.Data(body))
        if declared is None or declared == len(body):
            await self.finish()

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of a response; without a content-length the body is chunked."""
        pairs: Sequence[tuple[str, str]] = [
            ("date", format_datetime(datetime.now(UTC), usegmt=True)),
            *headers.items(),
        ]
        await self._send(h11.Response(status_code=status, headers=list(pairs)))

    async def send(self, data: bytes) -> None:
        """One chunk of the body."""
        await self._send(h11.Data(data))

    async def finish(self) -> None:
        """The proper end of the body."""
        await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Event) -> None:
        try:
            data = self._http.send(event)
        except h11.LocalProtocolError as exc:
            raise ConnectionError("the connection is in no state to send") from exc
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def client_gone(self) -> None:
        """Return when the client has closed its side. Bytes of a next request are kept."""
        try:
            while data := await self._reader.read(_READ_SIZE):
                self._http.receive_data(data)
        except OSError:
            return

    def close(self) -> None:
        """Close with FIN; what was written is still delivered."""
        self._writer.close()

    def reset(self) -> None:
        """Close with RST, as a crashed machine or a firewall does."""
        sock: socket.socket | None = self._writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


def _received(request: h11.Request, body: bytes) -> ReceivedRequest:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
    return ReceivedRequest(request.method.decode(), request.target.decode("latin-1"), headers, body)

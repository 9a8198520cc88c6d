"""A client that hides nothing: the bytes as they came, and how the connection ended."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

from attrs import frozen

PATIENCE = 20.0
"""Seconds without a byte after which a connection counts as silent."""


@frozen
class Exchange:
    """One response, raw. `ended` is "complete", "eof", "reset" or "silent"."""

    head: str
    payload: bytes
    reads: tuple[bytes, ...]
    ended: str

    @property
    def status(self) -> int:
        return int(self.head.split(" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        pairs = (line.partition(": ") for line in self.head.split("\r\n")[1:])
        return {name.lower(): value for name, _, value in pairs}

    @property
    def text(self) -> str:
        return self.payload.decode(errors="replace")

    @property
    def events(self) -> list[str]:
        lines = self.text.splitlines()
        return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]

    @property
    def content(self) -> str:
        """The text of all readable text deltas."""
        lines = [line[6:] for line in self.text.splitlines() if line.startswith("data: ")]
        values = [json.loads(line) for line in lines if line.endswith("}")]
        return "".join(value.get("delta", {}).get("text", "") for value in values)


def body(prompt: str, **fields: object) -> dict[str, object]:
    """A request body for one user message, streamed unless told otherwise."""
    plain = {"model": "m", "max_tokens": 10_000, "stream": True}
    return {**plain, "messages": [{"role": "user", "content": prompt}], **fields}


def request_bytes(
    value: object,
    *,
    path: str = "/v1/messages",
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> bytes:
    """One HTTP/1.1 request; `headers` replaces the usual ones where None is not given."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    default = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    fields = {"host": "mock", **default, "content-length": str(len(data)), **(headers or {})}
    head = "".join(f"{name}: {field}\r\n" for name, field in fields.items() if field)
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data


async def exchange(url: str, request: bytes, *, patience: float = PATIENCE) -> Exchange:
    """Send `request` on a connection of its own and read what comes until it ends."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(request)
        return await read_response(reader, patience=patience)
    finally:
        writer.close()


async def read_response(reader: asyncio.StreamReader, *, patience: float = PATIENCE) -> Exchange:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()[:-4]
    length = next(
        (int(line[16:]) for line in head.split("\r\n") if line.startswith("content-length: ")), None
    )
    reads: list[bytes] = []
    while True:
        data = b"".join(reads)
        if (length is not None and len(data) >= length) or (
            length is None and data.endswith(b"\r\n0\r\n\r\n")
        ):
            ended = "complete"
            break
        try:
            piece = await asyncio.wait_for(reader.read(65536), patience)
        except TimeoutError:
            ended = "silent"
            break
        except ConnectionResetError:
            ended = "reset"
            break
        if not piece:
            ended = "eof"
            break
        reads.append(piece)
    data = b"".join(reads)
    payload = data if length is not None else b"".join(_chunks(data))
    return Exchange(head, payload, tuple(reads), ended)


def _chunks(data: bytes) -> list[bytes]:
    chunks: list[bytes] = []
    while data:
        size, _, data = data.partition(b"\r\n")
        chunks.append(data[: int(size, 16)])
        data = data[int(size, 16) + 2 :]
    return chunks

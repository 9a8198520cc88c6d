"""Names looked up by the operating system, for the fetch guard.

Law: a look-up can't be called off, only no longer waited for; so it holds a thread of this
resolver's own pool, and a slow name server makes other look-ups wait but nothing else.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from openbolt.errors import UpstreamError
from openbolt.proxy.addresses import Address

__all__ = ["SystemResolver"]

_UNKNOWN = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
)


class SystemResolver:
    """An `openbolt.proxy.guard.Resolver` on ``getaddrinfo``.

    Args:
        threads: Look-ups at once; further ones wait.
    """

    def __init__(self, *, threads: int = 8) -> None:
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    async def resolve(self, host: str, port: int, /) -> Sequence[Address]:
        """Every address of a name, in the system's order; see `Resolver.resolve`."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="openbolt-resolver")
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._pool, _look_up, host, port)
        except socket.gaierror as exc:
            if exc.errno in _UNKNOWN:
                return ()
            raise UpstreamError(f"{host} can't be looked up.", detail=str(exc)) from exc
        except (OSError, UnicodeError) as exc:
            raise UpstreamError(f"{host} can't be looked up.", detail=str(exc)) from exc
        return tuple(dict.fromkeys(ip_address(address) for address in found))

    async def aclose(self) -> None:
        """Let the threads go. A later look-up starts new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[str]:
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]

"""Servers of ours on a port of this machine: in a thread, or in a process of their own."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from openbolt.asgi import HandlerApp


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving_in_thread(app: HandlerApp, **config: Any) -> Iterator[str]:
    """Serve with uvicorn until the context is left; the URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, **config))
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """End it as an operator would, and if it doesn't end, for good."""
    process.send_signal(how)
    try:
        process.wait(30)
    finally:
        process.kill()
        process.wait()


class JsonApi:
    """Asks the API at ``url``, which whoever inherits this has."""

    url: str

    def get(self, path: str) -> Any:
        """What a path answers, as JSON."""
        return _json(httpx.get(self.url + path))

    def post(self, path: str) -> Any:
        return _json(httpx.post(self.url + path))


def _json(answer: httpx.Response) -> Any:
    return answer.raise_for_status().json()

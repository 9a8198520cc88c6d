"""Forks servers that are worth killing: each line of input starts one, with everything imported.

Law: a server is a process of its own, with its own sockets, stores and locks, so that a SIGKILL
leaves exactly what it leaves of any server. Input: settings as JSON. Output: pid and port as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import Any

import uvicorn

from openbolt import Settings
from openbolt.asgi import asgi_app
from openbolt_local import open_dependencies

LIFE = 60
"""Seconds after which a forgotten server ends by itself."""


def serve(listener: socket.socket, settings: dict[str, Any]) -> None:
    """Serve until killed."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.alarm(LIFE)
    app = asgi_app(open_dependencies, Settings(**settings))
    config = uvicorn.Config(app, log_level="critical", lifespan="on", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    """Start servers until the input ends."""
    import anthropic  # noqa: F401 -- what a server would take a second to import
    import httpx2  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the killed
    print("ready", flush=True)
    for line in sys.stdin:
        listener = socket.create_server(("127.0.0.1", 0))
        pid = os.fork()
        if pid == 0:
            try:
                serve(listener, json.loads(line))
            finally:
                os._exit(1)
        print(json.dumps({"pid": pid, "port": listener.getsockname()[1]}), flush=True)
        listener.close()


if __name__ == "__main__":
    main()

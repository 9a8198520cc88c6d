"""Run the mock by hand: `python -m openbolt_local.mocks --port 8099`.

The law: what it prints is enough to point any Messages API client at it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Sequence

from attrs import frozen

from openbolt_local.mocks.faults import HEADER, describe
from openbolt_local.mocks.server import LIVELY, AnthropicMock


@frozen
class _Arguments:
    host: str
    port: int
    pace: float
    delta_size: int
    seam_overlap: int


def _arguments(words: Sequence[str] | None) -> _Arguments:
    parser = argparse.ArgumentParser(
        prog="python -m openbolt_local.mocks",
        description="A mock of the Anthropic Messages API: small apps from a script, offline.",
        epilog=(
            "Faults: write [mock:NAME MODIFIER=VALUE ...] into the last user message, or the same\n"
            f"words without the brackets into the request header {HEADER}.\n\n{describe()}\n\n"
            "example: Build a todo list [mock:stall after=20]"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8099, help="0 picks a free one (%(default)s)")
    parser.add_argument(
        "--pace", type=float, default=LIVELY, help="seconds between deltas (%(default)s)"
    )
    parser.add_argument(
        "--delta-size", type=int, default=12, help="characters per delta (%(default)s)"
    )
    parser.add_argument(
        "--seam-overlap",
        type=int,
        default=0,
        help="characters that a continuation says again (%(default)s)",
    )
    found = parser.parse_args(words)
    return _Arguments(found.host, found.port, found.pace, found.delta_size, found.seam_overlap)


async def serve(words: Sequence[str] | None = None) -> None:
    """Parse the command line and serve until cancelled."""
    arguments = _arguments(words)
    mock = AnthropicMock(
        host=arguments.host,
        port=arguments.port,
        delta_interval=arguments.pace,
        delta_size=arguments.delta_size,
        seam_overlap=arguments.seam_overlap,
        record_limit=16,
    )
    async with mock:
        print(
            f"Mock of the Messages API on {mock.url} (any key will do; Ctrl-C stops it)", flush=True
        )
        print(f"  export ANTHROPIC_BASE_URL={mock.url} ANTHROPIC_API_KEY=mock", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())

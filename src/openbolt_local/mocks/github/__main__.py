"""Run the stand-in by hand: `python -m openbolt_local.mocks.github --callback URL`.

The law: what it prints is enough to let a server sign people in at it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Sequence

from openbolt_local.mocks.github.registry import GitHubAccount, GitHubApp, GitHubEmail
from openbolt_local.mocks.github.server import GitHubMock

_CALLBACK = "http://127.0.0.1:8787/api/auth/github/callback"


def _account(number: int, login: str) -> GitHubAccount:
    email = GitHubEmail(f"{login.lower()}@example.com", primary=True)
    return GitHubAccount(number, login, emails=(email,), orgs=("example",))


async def serve(words: Sequence[str] | None = None) -> None:
    """Parse the command line and serve until cancelled."""
    parser = argparse.ArgumentParser(
        prog="python -m openbolt_local.mocks.github",
        description="A stand-in for GitHub's sign-in: people choose an account, no password.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8098, help="0 picks a free one (%(default)s)")
    parser.add_argument(
        "--callback",
        action="append",
        metavar="URL",
        help=f"a registered callback URL; may be given again ({_CALLBACK})",
    )
    parser.add_argument(
        "--login",
        action="append",
        metavar="NAME",
        help="an account, member of the organization `example`; may be given again (octo)",
    )
    parser.add_argument(
        "--expiring-tokens", action="store_true", help="be a GitHub App, with refresh tokens"
    )
    found = parser.parse_args(words)
    app = GitHubApp(
        "mock-client-id",
        "mock-client-secret",
        found.callback or [_CALLBACK],
        name="openbolt",
        expiring_tokens=found.expiring_tokens,
    )
    accounts = [_account(number, login) for number, login in enumerate(found.login or ["octo"], 1)]
    async with GitHubMock([app], accounts, host=found.host, port=found.port) as mock:
        print(f"Stand-in for GitHub on {mock.url} (Ctrl-C stops it)", flush=True)
        print(
            f"  export OPENBOLT_GITHUB_URL={mock.url} GITHUB_CLIENT_ID={app.client_id}"
            f" GITHUB_CLIENT_SECRET={app.client_secret}",
            flush=True,
        )
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())

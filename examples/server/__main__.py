"""``python -m examples.server``: build apps by chatting, on your own machine."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import webbrowser
from collections.abc import Sequence
from threading import Timer

import uvicorn

from examples.server.serving import callback_urls, make_app, read_settings
from openbolt import Settings
from openbolt.collector import calm_collector
from openbolt.errors import ConfigurationError

_EPILOG = """\
Settings come from the environment; the most used ones:
  ANTHROPIC_API_KEY      build with Claude; without it a built-in mock answers
  ANTHROPIC_BASE_URL     any server that speaks the Messages API
  OPENBOLT_MODEL         which model
  OPENBOLT_DATA          where chats and projects are kept
  OPENBOLT_KV            sqlite (default) or memory
  OPENBOLT_OBJECTS       files (default) or memory
  GITHUB_CLIENT_ID       let people sign in with GitHub, each for themselves
  GITHUB_CLIENT_SECRET   its secret
  OPENBOLT_OIDC_ISSUER   the same with OpenID Connect
  OPENBOLT_PASSWORD      ask browsers for it
  OPENBOLT_ALLOWED_HOSTS names that browsers use
Any other --host needs a sign-in or a password, and the names.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted; the exit status."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)-8s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line for each model call
    try:
        settings = read_settings(os.environ, host=options.host, data=options.data)
    except ConfigurationError as exc:
        print(exc.public_message, file=sys.stderr)
        return 2
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{host}:{options.port}"
    print(f"openbolt serves {url} and keeps its data in {settings.data}", flush=True)
    for callback in callback_urls(settings, url):
        print(f"people sign in; the callback URL to register is {callback}", flush=True)
    if options.open:
        Timer(1.5, webbrowser.open, [url]).start()
    if options.reload:
        _serve_reloading(options)
    else:
        _serve(settings, options)
    return 0


def _serve(settings: Settings, options: argparse.Namespace) -> None:
    app = make_app(settings)
    calm_collector()
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        proxy_headers=False,  # whose word counts is a setting: trusted_proxies
        server_header=False,
        timeout_graceful_shutdown=5,
    )


def _serve_reloading(options: argparse.Namespace) -> None:
    os.environ["OPENBOLT_EXAMPLE_HOST"] = options.host
    os.environ["OPENBOLT_EXAMPLE_DATA"] = options.data or ""
    uvicorn.run(
        "examples.server.serving:app_from_environment",
        factory=True,
        host=options.host,
        port=options.port,
        reload=True,
        reload_dirs=["src", "examples"],
        reload_includes=["*.py", "*.js", "*.css", "*.html"],
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )


def _port(text: str) -> int:
    # uvloop would take a larger number modulo 65,536.
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.server",
        description="Build apps by chatting: the openbolt example server.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to bind (default: %(default)s)"
    )
    parser.add_argument("--port", type=_port, default=8787, help="port (default: %(default)s)")
    parser.add_argument("--data", metavar="DIR", help="folder for data (default: .openbolt)")
    parser.add_argument("--reload", action="store_true", help="restart when a source file changes")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""The ``openbolt`` command: what an operator does to a running application's stores.

Law: as uvicorn takes an application, this takes a factory of dependencies, so it works on any
backend and knows none. The one module of the core that reads the environment. It prints no secret,
but for the new one that ``generate-key`` is asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import attrs

from openbolt.dependencies import Dependencies
from openbolt.envelope import generate_key
from openbolt.errors import ConfigurationError, OpenBoltError
from openbolt.rotation import RotationReport, rotate_keys
from openbolt.secrets import SecretStore
from openbolt.settings import Settings

__all__ = ["main"]

Factory = Callable[[Settings], AbstractAsyncContextManager[Dependencies]]

DONE, UNFINISHED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status: 0 done; 1 something is left or failed; 2 called or configured wrongly;
        130 interrupted, and to be run again.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ConfigurationError as error:
        print(f"openbolt: {error.public_message}", file=sys.stderr)
        return WRONG_USE
    except OpenBoltError as error:
        print(f"openbolt: {error}", file=sys.stderr)
        return UNFINISHED
    except KeyboardInterrupt:
        print("openbolt: interrupted; what is done is done, run it again", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="openbolt", description="Looks after the stores of an openbolt application."
    )
    parser.add_argument(
        "--deps",
        metavar="MODULE:FACTORY",
        help="opens the stores, as openbolt_local:open_dependencies; settings come from the "
        "environment",
    )
    parser.add_argument(
        "--app-dir",
        metavar="DIR",
        default=".",
        help="where MODULE is looked for first (default: the working directory)",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command = commands.add_parser(
        "generate-key", help="print a new master key, for OPENBOLT_SECRET_KEYS"
    )
    command.set_defaults(run=_generate_key)
    command = commands.add_parser(
        "rotate-keys", help="wrap all stored secrets with the first of OPENBOLT_SECRET_KEYS"
    )
    command.add_argument("--dry-run", action="store_true", help="only count")
    command.set_defaults(run=_on_dependencies(_rotate))
    command = commands.add_parser(
        "purge", help="delete chats and projects that are older than they are to be kept"
    )
    command.set_defaults(run=_on_dependencies(_purge))
    return parser


def _generate_key(_: argparse.Namespace) -> int:
    print(generate_key())
    return DONE


Command = Callable[[argparse.Namespace, Dependencies, Settings], Coroutine[Any, Any, int]]


def _on_dependencies(command: Command) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        settings = Settings.from_mapping(os.environ)
        factory = _factory(options.deps, options.app_dir)

        async def opened() -> int:
            async with factory(settings) as dependencies:
                return await command(options, dependencies, settings)

        return asyncio.run(opened())

    return run


def _factory(deps: str | None, app_dir: str) -> Factory:
    module, _, name = (deps or "").partition(":")
    if not module or not name:
        raise ConfigurationError(
            "Name what opens the stores: --deps MODULE:FACTORY, as in "
            "--deps openbolt_local:open_dependencies."
        )
    sys.path.insert(0, str(Path(app_dir).resolve()))
    try:
        imported: Any = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and lacks something itself
        raise ConfigurationError(
            f"--deps: there is no module {module!r}, not even in {app_dir!r} (--app-dir)."
        ) from None
    try:
        found = functools.reduce(getattr, name.split("."), imported)
    except AttributeError:
        raise ConfigurationError(f"--deps: {module!r} has no {name!r}.") from None
    if not callable(found):
        raise ConfigurationError(f"--deps: {name!r} of {module!r} can't be called.")
    return cast("Factory", found)


async def _rotate(options: argparse.Namespace, d: Dependencies, settings: Settings) -> int:
    if d.cipher is None:
        raise ConfigurationError(
            "These dependencies have no cipher, so nothing is stored encrypted."
        )
    secrets = SecretStore(d.kv, d.cipher, d.clock, settings)
    report = await rotate_keys(secrets, d.atomic, dry_run=options.dry_run)
    _print_rotation(report, dry_run=options.dry_run)
    return DONE if report.is_done else UNFINISHED


def _print_rotation(report: RotationReport, *, dry_run: bool) -> None:
    print(f"users: {report.users}")
    print(f"{'would be wrapped anew' if dry_run else 'wrapped anew'}: {report.rewrapped}")
    print(f"under the first key before: {report.current}")
    print(f"unreadable: {report.unreadable}")
    print(f"set again meanwhile: {report.busy}")
    if not report.users:
        print(
            "openbolt: nobody has secrets here; are these the stores that are meant?",
            file=sys.stderr,
        )
    if report.unreadable:
        print(
            "openbolt: some secrets fit none of the keys; keep the older keys after the first in "
            "OPENBOLT_SECRET_KEYS. The log names the secrets.",
            file=sys.stderr,
        )
    if report.busy:
        print("openbolt: some secrets were being set; run it again", file=sys.stderr)


async def _purge(_: argparse.Namespace, d: Dependencies, settings: Settings) -> int:
    from openbolt.privacy import purge  # the rest of the command needs nothing of it

    report = await purge(d, settings, d.clock.now())
    for name, value in attrs.asdict(report, recurse=False).items():
        print(f"{name.replace('_', ' ')}: {value}")
    return DONE


if __name__ == "__main__":
    sys.exit(main())

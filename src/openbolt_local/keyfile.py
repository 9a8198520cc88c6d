"""The master key of a server that was given none: made once, and kept in a file beside the data.

Law: the file appears whole or not at all, and once: of processes that start at the same moment all
use the key of the one that was first. It is for its owner's eyes; one that others can read has been
read, and is refused. Everything here blocks.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from openbolt import Settings
from openbolt.clock import SystemTokens
from openbolt.envelope import generate_key, parse_key
from openbolt.errors import ConfigurationError
from openbolt.protocols import Cipher

__all__ = ["KEY_FILE", "load_or_create_keys", "open_cipher"]

KEY_FILE = "secret.key"

_log = logging.getLogger("openbolt.local")
_MAX_BYTES = 16 * 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_BINARY = getattr(os, "O_BINARY", 0)
_LOOKS, _PAUSE = 20, 0.05  # seconds


async def open_cipher(settings: Settings, /) -> Cipher | None:
    """The cipher of the local backend.

    Its keys are ``settings.secret_keys``; else those in `KEY_FILE` in ``settings.data``, which is
    made if it isn't there; else, where nothing outlives the process (``kv`` is ``memory``), one
    that doesn't either.

    Returns:
        None where ``cryptography`` isn't installed and no keys are set: nothing that needs
        encryption is offered then.

    Raises:
        ConfigurationError: A key is none; the file can't be made, can be read by others, or holds
            something else; or keys are set and ``cryptography`` isn't installed.
    """
    if find_spec("cryptography") is None:
        if settings.secret_keys:
            raise ConfigurationError(
                "secret_keys are set, and nothing is installed that could use them: "
                "pip install 'openbolt[crypto]'.",
                setting="secret_keys",
            )
        return None
    return await asyncio.to_thread(_cipher, settings)


def _cipher(settings: Settings) -> Cipher:
    from openbolt_local.crypto import AesGcmCipher

    keys = settings.secret_keys
    if not keys and settings.kv == "memory":
        keys = (generate_key(),)
    if not keys:
        keys = load_or_create_keys(Path(settings.data) / KEY_FILE)
    return AesGcmCipher(keys)


def load_or_create_keys(path: Path, /) -> tuple[str, ...]:
    """The keys in a file, one a line, the first of which encrypts; a new key in a new file.

    Raises:
        ConfigurationError: See `open_cipher`.
    """
    try:
        if not path.exists():
            _create(path)
        text, is_private = _read(path)
    except OSError as exc:
        raise _wrong(path, f"can't be used ({exc.strerror or exc})") from exc
    if not is_private and _keeps_modes(path.parent):
        raise ConfigurationError(
            f"{path} can be read by others, so its key is no secret any more. If nobody did, "
            f"`chmod 600` it; else put a new key before it and run `openbolt rotate-keys`.",
            setting="secret_keys",
        )
    keys = tuple(text.split())
    try:
        for key in keys:
            parse_key(key)
    except ConfigurationError:
        keys = ()
    if not keys:
        raise _wrong(path, "holds something else than keys of 32 bytes in base64, one a line")
    return keys


def _read(path: Path) -> tuple[str, bool]:
    """What is in the file, and whether it is for its owner only."""
    left = _LOOKS
    while True:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MAX_BYTES).decode("ascii", "replace")
        left -= 1
        if text or not left:
            return text, not stat.S_IMODE(mode) & _OTHERS
        time.sleep(_PAUSE)  # it may have been created a moment ago, where there are no links


def _create(path: Path) -> None:
    """Write a key beside the file and link it there, which only the first one can."""
    folder, data = path.parent, f"{generate_key()}\n".encode("ascii")
    folder.mkdir(parents=True, exist_ok=True)
    unnamed = _unnamed(folder)
    _write_private(unnamed, data)
    try:
        os.link(unnamed, path)
    except FileExistsError:
        return  # another process was first
    except OSError:  # a file system without links
        with suppress(FileExistsError):
            _write_private(path, data)
    finally:
        unnamed.unlink()
    _sync_folder(folder)
    _log.info("there is a new key for what is stored encrypted, %s: keep a copy of it", path)


def _unnamed(folder: Path) -> Path:
    return folder / f".{KEY_FILE}-{SystemTokens().token()}"


def _write_private(path: Path, data: bytes) -> None:
    """A new file for its owner only, on disk when this returns."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _BINARY, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    except BaseException:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # Windows opens no folder, and needs none synced
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _keeps_modes(folder: Path) -> bool:
    """Whether a private file is private here: FAT, Windows and some mounts know no such thing."""
    probe = _unnamed(folder)
    _write_private(probe, b"")
    try:
        return not stat.S_IMODE(probe.stat().st_mode) & _OTHERS
    finally:
        probe.unlink()


def _wrong(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"The key file {path} {what}. Mend it, or set OPENBOLT_SECRET_KEYS to what "
        "`openbolt generate-key` prints; a lost key is the loss of what it encrypts.",
        setting="secret_keys",
    )

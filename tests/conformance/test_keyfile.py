"""The local server's own master key: made once, whole, and for its owner's eyes."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from openbolt import Settings
from openbolt.envelope import generate_key, parse_key
from openbolt.errors import ConfigurationError, InvalidRequestError
from openbolt_local.crypto import AesGcmCipher
from openbolt_local.keyfile import KEY_FILE, load_or_create_keys, open_cipher

CONTEXT = b"context"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_the_key_of_the_first_start_is_there_at_the_next(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "new" / "data"))
    first, second = await open_cipher(settings), await open_cipher(settings)
    assert first is not None
    assert second is not None
    made = await first.encrypt(b"text", context=CONTEXT)
    assert await second.decrypt(made, context=CONTEXT) == b"text"
    folder = Path(settings.data)
    assert names_in(folder) == [KEY_FILE]
    assert mode_of(folder / KEY_FILE) == 0o600


async def test_keys_that_are_set_need_no_file(tmp_path: Path) -> None:
    key = generate_key()
    cipher = await open_cipher(Settings(data=str(tmp_path), secret_keys=(key,)))
    assert cipher is not None
    made = await cipher.encrypt(b"text", context=CONTEXT)
    assert await AesGcmCipher([key]).decrypt(made, context=CONTEXT) == b"text"
    assert names_in(tmp_path) == []


async def test_where_nothing_outlives_the_process_no_key_does(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path), kv="memory")
    first, second = await open_cipher(settings), await open_cipher(settings)
    assert first is not None
    assert second is not None
    made = await first.encrypt(b"text", context=CONTEXT)
    with pytest.raises(InvalidRequestError):
        await second.decrypt(made, context=CONTEXT)
    assert names_in(tmp_path) == []


def test_each_server_has_another_key(tmp_path: Path) -> None:
    keys = {load_or_create_keys(tmp_path / name / KEY_FILE) for name in "abc"}
    assert len(keys) == 3


def test_of_threads_that_start_at_once_all_have_one_key(tmp_path: Path) -> None:
    count = 8
    barrier = threading.Barrier(count)

    def start(number: int) -> tuple[str, ...]:
        barrier.wait(10)
        return load_or_create_keys(tmp_path / str(number) / KEY_FILE)

    with ThreadPoolExecutor(count) as pool:
        for number in range(25):
            found = set(pool.map(start, [number] * count))
            assert len(found) == 1
            assert names_in(tmp_path / str(number)) == [KEY_FILE]


STARTER = """
import sys, time
from pathlib import Path
from openbolt_local.keyfile import load_or_create_keys
folder, begin = Path(sys.argv[1]), float(sys.argv[2])
for number in range(20):
    while time.time() < begin + number * 0.02:
        pass
    print(*load_or_create_keys(folder / str(number) / "secret.key"))
"""


def test_of_processes_that_start_at_once_all_have_one_key(tmp_path: Path) -> None:
    begin = str(time.time() + 3)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", STARTER, str(tmp_path), begin],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    assert len(said[0]) == 20
    assert said[0] == said[1] == said[2]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666, 0o610, 0o777])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / KEY_FILE
    (key,) = load_or_create_keys(path)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=r"chmod 600.*rotate-keys") as caught:
        load_or_create_keys(path)
    assert caught.value.setting == "secret_keys"
    assert str(path) in caught.value.public_message
    assert key not in str(caught.value)
    assert names_in(tmp_path) == [KEY_FILE]


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_folder_that_others_can_read_is_fine(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(0o755)
    keys = load_or_create_keys(tmp_path / KEY_FILE)
    (tmp_path / KEY_FILE).chmod(mode)
    assert load_or_create_keys(tmp_path / KEY_FILE) == keys


def test_a_umask_does_not_open_the_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_or_create_keys(tmp_path / KEY_FILE)
    finally:
        os.umask(before)
    assert mode_of(tmp_path / KEY_FILE) == 0o600


def test_the_file_may_hold_several_keys_one_a_line(tmp_path: Path) -> None:
    path, keys = tmp_path / KEY_FILE, (generate_key(), generate_key())
    path.write_text(f"{keys[0]}\n\n{keys[1]}\r\n")
    path.chmod(0o600)
    assert load_or_create_keys(path) == keys


@pytest.mark.parametrize("content", [b"\n", b"hunter2\n", b"\xff\xfe", b"A" * 100_000])
def test_a_file_that_holds_something_else_is_refused_and_kept(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / KEY_FILE
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="OPENBOLT_SECRET_KEYS") as caught:
        load_or_create_keys(path)
    assert "hunter2" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_second_line_that_is_no_key_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / KEY_FILE
    path.write_text(f"{generate_key()}\nhunter2\n")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError):
        load_or_create_keys(path)


@pytest.mark.parametrize("what", ["folder", "dangling", "file above"])
def test_what_cannot_be_a_key_file_is_said_so(tmp_path: Path, what: str) -> None:
    path = tmp_path / "data" / KEY_FILE
    match what:
        case "folder":
            path.mkdir(parents=True)
        case "dangling":
            path.parent.mkdir()
            path.symlink_to(tmp_path / "nowhere")
        case _:
            path.parent.write_text("")
    with pytest.raises(ConfigurationError, match="can't be used") as caught:
        load_or_create_keys(path)
    assert isinstance(caught.value.__cause__, OSError)


def test_what_a_crash_left_beside_it_is_not_the_key(tmp_path: Path) -> None:
    left = tmp_path / f".{KEY_FILE}-left"
    left.write_text(generate_key()[:20])
    (key,) = load_or_create_keys(tmp_path / KEY_FILE)
    assert len(parse_key(key)) == 32


def test_without_links_the_file_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on FAT, on some network mounts and on Android."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    keys = load_or_create_keys(tmp_path / KEY_FILE)
    assert load_or_create_keys(tmp_path / KEY_FILE) == keys
    assert names_in(tmp_path) == [KEY_FILE]
    assert mode_of(tmp_path / KEY_FILE) == 0o600


def test_without_links_a_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    path, key = tmp_path / KEY_FILE, generate_key()
    path.touch(0o600)
    writing = threading.Timer(0.1, lambda: path.write_text(key))
    writing.start()
    assert load_or_create_keys(path) == (key,)
    writing.join()


def test_where_files_have_no_modes_the_key_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on FAT, on Windows, and on Windows' drives under Linux."""
    true_open = os.open

    def open_for_all(path: Any, flags: int, mode: int = 0o777) -> int:
        descriptor = true_open(path, flags, mode)
        if flags & os.O_CREAT:
            os.fchmod(descriptor, 0o777)
        return descriptor

    monkeypatch.setattr(os, "open", open_for_all)
    keys = load_or_create_keys(tmp_path / KEY_FILE)
    assert mode_of(tmp_path / KEY_FILE) == 0o777
    assert load_or_create_keys(tmp_path / KEY_FILE) == keys
    assert names_in(tmp_path) == [KEY_FILE]


WITHOUT = """
import asyncio, sys
sys.modules["cryptography"] = None
from openbolt import Settings
from openbolt.errors import ConfigurationError
from openbolt_local.keyfile import open_cipher
assert asyncio.run(open_cipher(Settings(data=sys.argv[1]))) is None
try:
    asyncio.run(open_cipher(Settings(data=sys.argv[1], secret_keys=("A" * 43,))))
except ConfigurationError as error:
    print(error.public_message)
"""


def test_without_cryptography_there_is_no_cipher_and_keys_are_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "openbolt[crypto]" in done.stdout
    assert names_in(tmp_path) == []

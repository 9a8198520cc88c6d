"""The command: keys are changed and old things deleted on whatever stores it is pointed at."""

from __future__ import annotations

import asyncio
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from openbolt import Settings
from openbolt.cli import main
from openbolt.envelope import generate_key, parse_key
from openbolt.history import Chat, Message
from openbolt.secrets import SecretStore
from openbolt_local.crypto import AesGcmCipher

OLD, NEW = generate_key(), generate_key()
VALUE = "sk-ant-hunter2-hunter2-wxyz"
MODULE = "stores_of_this_test"
DEPS = f"{MODULE}:open_dependencies"

STORES = """
from contextlib import asynccontextmanager
from pathlib import Path

from openbolt import Dependencies
from openbolt.chat.log import MemoryEventLog
from openbolt.clock import SystemClock, SystemTokens
from openbolt.errors import BackendError
from openbolt_local.crypto import AesGcmCipher
from openbolt_local.memory import MemoryLeaseStore, MemoryObjectStore
from openbolt_local.sqlite import SQLiteDatabase, SQLiteKeyValueStore

NOT_A_FACTORY = "text"
interrupt_at = 0


class KeyValues(SQLiteKeyValueStore):
    replaced = 0

    async def replace(self, key, value, /, *, expected, ttl=None):
        self.replaced += 1
        if self.replaced == interrupt_at:
            raise KeyboardInterrupt
        return await super().replace(key, value, expected=expected, ttl=ttl)


@asynccontextmanager
async def open_dependencies(settings):
    clock = SystemClock()
    async with SQLiteDatabase.open(Path(settings.data) / "db") as database:
        kv = KeyValues(database, clock)
        yield Dependencies(
            kv=kv,
            atomic=kv,
            objects=MemoryObjectStore(clock),
            events=MemoryEventLog(clock),
            leases=MemoryLeaseStore(clock),
            provider=None,
            clock=clock,
            tokens=SystemTokens(),
            cipher=AesGcmCipher(settings.secret_keys) if settings.secret_keys else None,
        )


@asynccontextmanager
async def broken(settings):
    raise BackendError("The store can't be opened.", detail="no such host")
    yield


class Holder:
    factory = staticmethod(open_dependencies)
"""


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that the command is pointed at, over an empty database."""
    (tmp_path / f"{MODULE}.py").write_text(STORES)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("OPENBOLT_DATA", str(tmp_path))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    importlib.invalidate_caches()
    yield importlib.import_module(MODULE)
    sys.modules.pop(MODULE, None)


def store_of(d: Any, *keys: str) -> SecretStore:
    return SecretStore(d.kv, AesGcmCipher(keys), d.clock, Settings())


def put(stores: Any, folder: Path, *keys: str, users: str = "ab", names: str = "xy") -> None:
    async def work() -> None:
        async with stores.open_dependencies(Settings(data=str(folder))) as d:
            for user in users:
                for name in names:
                    await store_of(d, *keys).put(user, name, VALUE)

    asyncio.run(work())


def readable(stores: Any, folder: Path, *keys: str) -> int:
    """How many secrets these keys read."""

    async def work() -> int:
        async with stores.open_dependencies(Settings(data=str(folder))) as d:
            secrets, count = store_of(d, *keys), 0
            async for user in secrets.owners():
                async for name in secrets.names(user):
                    try:
                        count += await secrets.read(user, name) == VALUE
                    except Exception:
                        count += 0
            return count

    return asyncio.run(work())


def test_a_key_is_generated_each_time_another(capsys: pytest.CaptureFixture[str]) -> None:
    assert [main(["generate-key"]), main(["generate-key"])] == [0, 0]
    one, two = capsys.readouterr().out.splitlines()
    assert one != two
    assert len(parse_key(one)) == len(parse_key(two)) == 32


def test_keys_are_rotated_and_counted(
    stores: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(stores, tmp_path, OLD)
    put(stores, tmp_path, NEW, users="c", names="z")
    monkeypatch.setenv("OPENBOLT_SECRET_KEYS", f"{NEW},{OLD}")
    assert main(["--deps", DEPS, "rotate-keys", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "users: 3",
        "would be wrapped anew: 4",
        "under the first key before: 1",
        "unreadable: 0",
        "set again meanwhile: 0",
    ]
    assert readable(stores, tmp_path, NEW) == 1
    assert main(["--deps", DEPS, "rotate-keys"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[1] == "wrapped anew: 4"
    assert readable(stores, tmp_path, NEW) == 5
    assert readable(stores, tmp_path, OLD) == 0
    assert main(["--deps", f"{MODULE}:Holder.factory", "rotate-keys"]) == 0
    assert "under the first key before: 5" in capsys.readouterr().out


def test_what_no_key_fits_is_a_failure_that_names_it_and_shows_nothing(
    stores: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    put(stores, tmp_path, OLD, users="a", names="x")
    monkeypatch.setenv("OPENBOLT_SECRET_KEYS", NEW)
    assert main(["--deps", DEPS, "rotate-keys"]) == 1
    said = capsys.readouterr()
    assert "unreadable: 1" in said.out
    assert "OPENBOLT_SECRET_KEYS" in said.err
    assert "the secret x of user a" in caplog.text
    for secret in (OLD, NEW, "hunter2"):
        assert secret not in said.out + said.err + caplog.text
    assert readable(stores, tmp_path, OLD) == 1


def test_an_interrupted_rotation_is_taken_up_by_the_next(
    stores: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(stores, tmp_path, OLD, users="abc", names="xyz")
    monkeypatch.setenv("OPENBOLT_SECRET_KEYS", f"{NEW},{OLD}")
    stores.interrupt_at = 5
    assert main(["--deps", DEPS, "rotate-keys"]) == 130
    assert "run it again" in capsys.readouterr().err
    stores.interrupt_at = 0
    assert readable(stores, tmp_path, NEW, OLD) == 9
    assert readable(stores, tmp_path, NEW) == 4
    assert main(["--deps", DEPS, "rotate-keys"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == ["users: 3", "wrapped anew: 5", "under the first key before: 4"]
    assert readable(stores, tmp_path, NEW) == 9


def test_stores_without_secrets_are_wondered_at(
    stores: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENBOLT_SECRET_KEYS", NEW)
    assert main(["--deps", DEPS, "rotate-keys"]) == 0
    assert "are these the stores" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["rotate-keys", "purge"])
@pytest.mark.parametrize(
    ("deps", "named"),
    [
        ([], "--deps MODULE:FACTORY"),
        (["--deps", MODULE], "--deps MODULE:FACTORY"),
        (["--deps", ":open_dependencies"], "--deps MODULE:FACTORY"),
        (["--deps", "no_such_module_here:open"], "no_such_module_here"),
        (["--deps", "no_such_module_here.below:open"], "no_such_module_here"),
        (["--deps", f"{MODULE}:missing"], "missing"),
        (["--deps", f"{MODULE}:Holder.missing"], "missing"),
        (["--deps", f"{MODULE}:NOT_A_FACTORY"], "NOT_A_FACTORY"),
    ],
)
def test_what_it_is_pointed_at_wrongly_it_says(
    stores: Any, capsys: pytest.CaptureFixture[str], command: str, deps: list[str], named: str
) -> None:
    assert main([*deps, command]) == 2
    said = capsys.readouterr()
    assert (said.out, named in said.err) == ("", True)
    assert said.err.startswith("openbolt: ")


def test_what_a_module_itself_lacks_is_not_laid_on_the_command(stores: Any, tmp_path: Path) -> None:
    (tmp_path / "lacking_one.py").write_text("import no_such_module_here")
    (tmp_path / "lacking_two.py").write_text("import os; os.no_such_attribute")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_here"):
        main(["--deps", "lacking_one:open", "rotate-keys"])
    with pytest.raises(AttributeError, match="no_such_attribute"):
        main(["--deps", "lacking_two:open", "rotate-keys"])


def test_settings_that_are_wrong_are_named(
    stores: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--deps", DEPS, "rotate-keys"]) == 2
    assert "no cipher" in capsys.readouterr().err
    monkeypatch.setenv("OPENBOLT_SECRET_KEYS", "hunter2")
    assert main(["--deps", DEPS, "rotate-keys"]) == 2
    said = capsys.readouterr().err
    assert "OPENBOLT_SECRET_KEYS" in said
    assert "hunter2" not in said
    monkeypatch.setenv("OPENBOLT_MAX_TOKENS", "many")
    assert main(["--deps", DEPS, "rotate-keys"]) == 2
    assert "OPENBOLT_MAX_TOKENS" in capsys.readouterr().err


def test_a_store_that_fails_is_a_failure_with_its_detail(
    stores: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--deps", f"{MODULE}:broken", "purge"]) == 1
    assert capsys.readouterr().err == "openbolt: The store can't be opened. (no such host)\n"


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["rotate-keys", "--no-such"]])
def test_what_it_does_not_know_it_refuses(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_it_runs_as_a_program_in_the_folder_of_the_application(tmp_path: Path) -> None:
    (tmp_path / f"{MODULE}.py").write_text(STORES)
    done = subprocess.run(
        [sys.executable, "-m", "openbolt.cli", "--deps", DEPS, "rotate-keys"],
        cwd=tmp_path,
        env={"OPENBOLT_SECRET_KEYS": NEW, "OPENBOLT_DATA": str(tmp_path), "PATH": "",
             "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "users: 0"), done.stderr


def test_what_is_older_than_it_is_to_be_kept_is_purged(
    stores: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from openbolt.accounts import Accounts
    from openbolt.chat.running import RunningTurns
    from openbolt.heads import KeyValueHeads
    from openbolt.history import ChatStore
    from openbolt.testing import ManualClock

    async def begin() -> None:
        async with stores.open_dependencies(Settings(data=str(tmp_path))) as d:
            long_ago = ManualClock()
            chats = ChatStore(d.kv, KeyValueHeads(d.atomic), long_ago)
            asked = Message("q", "user", long_ago.now(), ())
            await chats.begin(Chat("c", "ann", "p", "Hi", 1.0, 1.0, ("q",)), asked)
            await Accounts(d.kv, d.clock, RunningTurns()).note("ann")

    asyncio.run(begin())
    assert main(["--deps", DEPS, "purge"]) == 0
    assert "chats: 0" in capsys.readouterr().out
    monkeypatch.setenv("OPENBOLT_CHAT_RETENTION", str(86_400 * 30))
    assert main(["--deps", DEPS, "purge"]) == 0
    assert "chats: 1" in capsys.readouterr().out


def test_the_reference_names_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
    for command in ("", "generate-key", "rotate-keys", "purge"):
        with pytest.raises(SystemExit):
            main([*command.split(), "--help"])
        said = capsys.readouterr().out
        for option in re.findall(r"--[a-z-]+", said):
            assert option == "--help" or option in page
        assert command in page

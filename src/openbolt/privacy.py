"""A user's right to their data: all of it as one archive, and all of it gone, with a receipt.

Laws: `parts_of_an_account` lists everything that is stored of a user, and nothing that isn't in it
may be stored of one. When the receipt is written, everything is gone and nothing more is written
for the account. A deletion that fails can be asked for again, and goes on where it stopped: what
lets the user in goes last.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from attrs import frozen

from openbolt.accounts import Accounts
from openbolt.archives import ExportedFile, zip_files
from openbolt.auth.api_keys import ApiKeys
from openbolt.auth.session_handler import SessionEnded
from openbolt.auth.sessions import Sessions
from openbolt.auth.users import UserStore
from openbolt.bodies import iso_time
from openbolt.chat.recovery import Recovery
from openbolt.errors import LockedError, OpenBoltError
from openbolt.jsons import json_bytes, parse_json
from openbolt.personal.account import (
    ApiKeyData,
    PreferenceData,
    ProfileData,
    SecretData,
    SessionData,
    ShareData,
)
from openbolt.personal.chats import ChatData
from openbolt.personal.data import PersonalData, delete_below, pretty_json
from openbolt.personal.projects import ProjectData
from openbolt.personal.retention import PurgeReport, purge
from openbolt.preferences import PreferenceStore
from openbolt.protocols import (
    Clock,
    KeyValueStore,
    LeaseStore,
    ObjectStore,
    SessionRecord,
    TokenSource,
)
from openbolt.secrets import SecretStore
from openbolt.settings import Settings
from openbolt.sharing import Shares

__all__ = [
    "ExportedFile",
    "PersonalData",
    "Privacy",
    "PurgeReport",
    "Receipt",
    "parts_of_an_account",
    "purge",
]

_ROUNDS = 5
_README = """\
This archive holds what {host} stores of the user {user_id}, as of {now}.

account.json       whose archive this is
profile.json       what the identity provider said at the latest sign-in, if you signed in with one
preferences.json   what you chose in the settings
chats/             each chat as JSON (with everything) and as Markdown (to be read)
projects/          each project: its current files, and in project.json a list of its versions
shares.json        links that let others read a project or a chat, without the links themselves
secrets.json       names and dates of stored secrets, without the secrets
app-tokens.json    names, budgets and dates of app tokens, without the tokens
api-keys.json      names and dates of API keys, without the keys
sessions.json      browsers that are signed in
MISSING.txt        only if something that is stored couldn't be read: what, and why

Times are in UTC. Files of earlier versions of a project can be had from the application.
"""


def parts_of_an_account(
    *,
    recovery: Recovery,
    leases: LeaseStore,
    clock: Clock,
    shares: Shares,
    preferences: PreferenceStore,
    users: UserStore,
    api_keys: ApiKeys,
    sessions: Sessions,
    secrets: SecretStore | None,
    ended: SessionEnded | None = None,
    more: Sequence[PersonalData] = (),
) -> Sequence[PersonalData]:
    """Everything that is stored of a user, in the order in which it is erased.

    Args:
        recovery: With the chats, projects and journals.
        secrets: None where the application has no cipher.
        ended: See `SessionData`.
        more: What else an application that embeds openbolt stores of its users.
    """
    projects = recovery.projects
    return (
        ChatData(recovery.chats, leases, clock),
        ProjectData(projects, projects.kv, recovery.journals),
        ShareData(shares),
        PreferenceData(preferences),
        *([] if secrets is None else [SecretData(secrets)]),
        *more,
        ProfileData(users),
        ApiKeyData(api_keys),
        SessionData(sessions, projects.kv, ended or _nothing),
    )


@frozen
class Receipt:
    """What is left of an account: that it was deleted. Time in seconds since the epoch.

    Attributes:
        id: Random; whoever shows it can be told what became of the account.
        user_hash: Of the user's id, keyed with the receipt's: see `is_for`.
        counts: How many things of each kind were deleted.
    """

    id: str
    user_hash: str
    deleted_at: float
    counts: Mapping[str, int]

    @classmethod
    def of(cls, user_id: str, /, *, id: str, at: float, counts: Mapping[str, int]) -> Receipt:  # noqa: A002
        """The receipt for a user's account."""
        return cls(id, _user_hash(id, user_id), at, dict(counts))

    def is_for(self, user_id: str, /) -> bool:
        """Whether this user's account was deleted."""
        return hmac.compare_digest(self.user_hash, _user_hash(self.id, user_id))

    def to_json(self) -> dict[str, Any]:
        """As the user gets it."""
        return {
            "id": self.id,
            "userHash": self.user_hash,
            "deletedAt": iso_time(self.deleted_at),
            "counts": dict(self.counts),
        }

    def to_bytes(self) -> bytes:
        """As it is kept."""
        return json_bytes({**self.to_json(), "deletedAt": self.deleted_at})

    @classmethod
    def from_bytes(cls, raw: bytes) -> Receipt:
        """What `to_bytes` wrote."""
        data = parse_json(raw)
        return cls(data["id"], data["userHash"], data["deletedAt"], data["counts"])


@frozen
class Privacy:
    """Exports and deletes whole accounts.

    Attributes:
        data: All parts of an account, in the order in which they are erased.
    """

    data: Sequence[PersonalData]
    kv: KeyValueStore
    objects: ObjectStore
    accounts: Accounts
    recovery: Recovery
    clock: Clock
    tokens: TokenSource
    settings: Settings

    async def settle(self, user_id: str, /) -> None:
        """Settle what crashes have left, so that an export has it."""
        chats, projects = self.recovery.chats, self.recovery.projects
        ids = {chat.project_id for chat in await chats.list(user_id)}
        ids |= {project.id for project in await projects.list(user_id)}
        for project_id in sorted(ids - {""}):
            await self.recovery.settle(project_id, owner=user_id)

    def export(self, user_id: str, /, *, host: str = "openbolt") -> AsyncIterator[bytes]:
        """A zip archive of everything; memory holds one file of it at a time.

        Args:
            host: Named in the archive as where it comes from.
        """
        return zip_files(self._files(user_id, host))

    async def _files(self, user_id: str, host: str) -> AsyncIterator[ExportedFile]:
        now = self.clock.now()
        readme = _README.format(host=host, user_id=user_id, now=iso_time(now))
        yield ExportedFile("README.txt", readme.encode(), now)
        account = {"userId": user_id, "exportedAt": iso_time(now)}
        yield ExportedFile("account.json", pretty_json(account), now)
        for part in self.data:
            async for file in part.export(user_id):
                yield file

    async def erase(self, user_id: str, /) -> Receipt:
        """Delete an account with everything in it.

        Turns that run are stopped first. Other requests of the user get 423 meanwhile.

        Raises:
            LockedError: Something is being written, and doesn't end in time.
            BackendError: A store failed; what was deleted stays so, and calling again goes on.
        """
        progress = f"user:{user_id}/deletion"
        async with self.accounts.deletion(user_id):
            raw = await self.kv.get(progress)
            counts: Counter[str] = Counter({part.name: 0 for part in self.data})
            counts.update(parse_json(raw) if raw else {})
            try:
                await self._erase(user_id, counts)
                return await self._write_receipt(user_id, counts)
            except BaseException:
                with suppress(OpenBoltError):
                    await self.kv.set(progress, json_bytes(counts))
                raise

    async def _erase(self, user_id: str, counts: Counter[str]) -> None:
        await self._erase_parts(user_id, counts)
        # From here on nobody is let in. What came in before, in other processes, is to store
        # nothing more, and what it has stored meanwhile goes too.
        await self.accounts.mark_deleted(user_id)
        for _ in range(_ROUNDS):
            if not await self._erase_parts(user_id, counts):
                break
        else:
            raise LockedError("Something goes on writing in this account; try again.")
        await delete_below(self.kv, f"user:{user_id}/")
        for key in [info.key async for info in self.objects.scan(f"user:{user_id}/")]:
            await self.objects.delete(key)
        await self.accounts.forget(user_id)

    async def _erase_parts(self, user_id: str, counts: Counter[str]) -> int:
        erased = 0
        for part in self.data:
            count = await part.erase(user_id)
            counts[part.name] += count
            erased += count
        return erased

    async def _write_receipt(self, user_id: str, counts: Mapping[str, int]) -> Receipt:
        receipt = Receipt.of(user_id, id=self.tokens.token(), at=self.clock.now(), counts=counts)
        retention = self.settings.receipt_retention
        await self.kv.set(_receipt_key(receipt.id), receipt.to_bytes(), ttl=retention)
        return receipt

    async def receipt(self, receipt_id: str, /) -> Receipt | None:
        """A receipt that is kept, for whoever shows its id."""
        raw = await self.kv.get(_receipt_key(receipt_id))
        return None if raw is None else Receipt.from_bytes(raw)


async def _nothing(_: SessionRecord, /) -> None: ...


def _user_hash(receipt_id: str, user_id: str) -> str:
    return hmac.digest(receipt_id.encode(), user_id.encode(), "sha256").hex()


def _receipt_key(receipt_id: str) -> str:
    return f"receipt:{receipt_id}/receipt"

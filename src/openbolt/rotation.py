"""All stored secrets under the newest master key, while everything runs.

Law: nothing is decrypted and nothing is lost. Only the wrapping of a secret's data key changes; a
secret that somebody sets meanwhile stays as it was set. To be stopped and begun again does no harm.
"""

from __future__ import annotations

import logging
from typing import Literal

from attrs import evolve, frozen

from openbolt.errors import BackendError, InvalidRequestError
from openbolt.protocols import AtomicKeyValueStore
from openbolt.secrets import SecretRecord, SecretStore, context_of, key_of

__all__ = ["RotationReport", "rotate_keys"]

_log = logging.getLogger("openbolt.secrets")
_ATTEMPTS = 16

Outcome = Literal["rewrapped", "current", "unreadable", "busy", "gone"]


@frozen
class RotationReport:
    """What a rotation found and did.

    Attributes:
        users: Who has or had secrets.
        rewrapped: Secrets that are under the newest key now, or would be after a dry run.
        current: Secrets that were under it before.
        unreadable: Secrets that none of the keys fits, or whose record is damaged.
        busy: Secrets that were set again each time; another run will find them.
    """

    users: int = 0
    rewrapped: int = 0
    current: int = 0
    unreadable: int = 0
    busy: int = 0

    @property
    def is_done(self) -> bool:
        """Whether the older keys are needed no more."""
        return not (self.unreadable or self.busy)


async def rotate_keys(
    secrets: SecretStore, atomic: AtomicKeyValueStore | None, /, *, dry_run: bool = False
) -> RotationReport:
    """Wrap every secret's data key with the cipher's first master key.

    Args:
        secrets: With a cipher that has the new key first, and the old ones after it.
        atomic: The same store as the secrets', where it has atomic operations. Without them a
            secret is looked at once more before it is written, which leaves a moment (on
            Cloudflare's KV up to a minute) in which one that is set may become the older one again.
        dry_run: Write nothing.
    """
    report = RotationReport()
    async for user_id in secrets.owners():
        report = evolve(report, users=report.users + 1)
        for name in [name async for name in secrets.names(user_id)]:
            outcome = await _rotate(secrets, atomic, user_id, name, dry_run=dry_run)
            if outcome != "gone":
                report = evolve(report, **{outcome: getattr(report, outcome) + 1})
    return report


async def _rotate(
    secrets: SecretStore,
    atomic: AtomicKeyValueStore | None,
    user_id: str,
    name: str,
    *,
    dry_run: bool,
) -> Outcome:
    key = key_of(user_id, name)
    for _ in range(_ATTEMPTS):
        raw = await secrets.kv.get(key)
        if raw is None:
            return "gone"
        try:
            record = SecretRecord.from_bytes(name, raw)
            sealed = await secrets.cipher.rewrap(record.sealed, context=context_of(user_id, name))
        except (BackendError, InvalidRequestError):
            _log.error("the secret %s of user %s can't be decrypted", name, user_id)
            return "unreadable"
        if sealed == record.sealed:
            return "current"
        if dry_run or await _replace(
            secrets, atomic, key, raw, evolve(record, sealed=sealed).to_bytes()
        ):
            return "rewrapped"
    return "busy"


async def _replace(
    secrets: SecretStore, atomic: AtomicKeyValueStore | None, key: str, old: bytes, new: bytes
) -> bool:
    if atomic is not None:
        return await atomic.replace(key, new, expected=old)
    if await secrets.kv.get(key) != old:
        return False
    await secrets.kv.set(key, new)
    return True

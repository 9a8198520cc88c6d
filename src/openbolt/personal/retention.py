"""What has been left alone for too long is deleted, by whoever runs the server.

Law: a thing is deleted only if it is too old while it is held; what is being written to is left for
the next run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from openbolt.accounts import Accounts
from openbolt.chat.running import RunningTurns
from openbolt.heads import HeadStore, KeyValueHeads, ObjectHeads
from openbolt.history import Chat, ChatStore
from openbolt.personal.projects import ProjectData
from openbolt.projects.journal import JournalStore
from openbolt.projects.store import Project, ProjectStore
from openbolt.protocols import Clock, LeaseStore
from openbolt.settings import Settings
from openbolt.sharing import Shares

if TYPE_CHECKING:
    from openbolt.app import Dependencies  # which wires what is below

__all__ = ["PurgeReport", "purge"]

_HOLD = 60.0  # seconds


@frozen
class PurgeReport:
    """What was looked at and deleted.

    Attributes:
        busy: What was too old and being written to.
    """

    users: int = 0
    chats: int = 0
    projects: int = 0
    busy: int = 0


async def purge(
    dependencies: Dependencies, settings: Settings, /, now: float | None = None
) -> PurgeReport:
    """Delete chats unchanged for ``chat_retention``, and projects for ``project_retention``.

    Links to them go too, and blobs that nothing names any more. May run beside the application,
    and again after it was interrupted.

    Args:
        now: Seconds since the epoch; None: by the dependencies' clock.
    """
    d = dependencies
    heads: HeadStore = ObjectHeads(d.objects) if d.atomic is None else KeyValueHeads(d.atomic)
    purging = _Purging(
        ChatStore(d.kv, heads, d.clock),
        ProjectStore(d.objects, d.kv, d.clock),
        JournalStore(d.kv),
        Shares(d.kv, heads, d.clock, d.tokens, settings),
        d.leases,
        d.clock,
        settings,
        d.clock.now() if now is None else now,
    )
    report = PurgeReport()
    async for user_id in Accounts(d.kv, d.clock, RunningTurns()).list():
        report = evolve(report, users=report.users + 1)
        report = await purging.chats_of(user_id, report)
        report = await purging.projects_of(user_id, report)
    return report


@frozen
class _Purging:
    chats: ChatStore
    projects: ProjectStore
    journals: JournalStore
    shares: Shares
    leases: LeaseStore
    clock: Clock
    settings: Settings
    now: float

    async def chats_of(self, user_id: str, report: PurgeReport) -> PurgeReport:
        retention = self.settings.chat_retention
        if retention is None:
            return report
        before = self.now - retention
        for chat in await self.chats.list(user_id):
            if chat.updated_at >= before:
                continue
            lease = await self.leases.acquire(f"chat:{chat.id}", ttl=_HOLD)
            if lease is None:
                report = evolve(report, busy=report.busy + 1)
                continue
            try:
                current = await self.chats.find(chat.id)
                if current is not None and current.updated_at < before:
                    await self._delete(current)
                    report = evolve(report, chats=report.chats + 1)
            finally:
                await self.leases.release(lease)
        return report

    async def _delete(self, chat: Chat) -> None:
        await self.shares.forget(chat.resource)
        # What a crash has left of a turn in it: nobody will settle it any more.
        for head in await self.journals.list(chat.project_id):
            if head.chat_id == chat.id:
                await self.journals.discard(head)
        await self.chats.delete(chat.id, owner=chat.owner)

    async def projects_of(self, user_id: str, report: PurgeReport) -> PurgeReport:
        retention = self.settings.project_retention
        if retention is None:
            return report
        old = [
            project
            for project in await self.projects.list(user_id)
            if project.updated_at < self.now - retention
        ]
        going: list[Project] = []
        for project in old:
            if await self.journals.list(project.id):  # a turn builds in it, or has crashed
                report = evolve(report, busy=report.busy + 1)
            else:
                going.append(project)
        for project in going:
            await self.shares.forget(project.resource)
        data = ProjectData(self.projects, self.chats.kv, self.journals)
        await data.remove({project.id for project in going})
        for project in going:
            await self.chats.kv.delete(f"user:{user_id}/project/{project.id}")
        return evolve(report, projects=report.projects + len(going))

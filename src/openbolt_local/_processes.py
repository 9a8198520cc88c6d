"""Which processes that share a folder are alive.

Law: a process is alive as long as it holds the lock on its mark. The kernel lets go of it whatever
way the process ends, in another container too, so nobody has to wait for a time-out after a crash.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from openbolt.protocols import TokenSource

__all__ = ["ProcessMark"]

if sys.platform == "win32":  # no flock: leases of a dead process run out by themselves

    def _lock(_descriptor: int) -> bool:
        return False
else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class ProcessMark:
    """This process' mark beside a file, ``<file>-process-<id>``.

    Blocking calls, each a few microseconds: call them where blocking is allowed.

    Attributes:
        id: Names the process to others, who ask with `is_alive`.
    """

    def __init__(self, path: str | Path, tokens: TokenSource, /) -> None:
        self._prefix = f"{path}-process-"
        self.id = tokens.token(10)
        # Locked before it has its name, or another process could take it for a dead one's.
        unnamed = f"{path}-starting-{self.id}"
        self._descriptor = os.open(unnamed, os.O_CREAT | os.O_RDWR, 0o600)
        _lock(self._descriptor)
        Path(unnamed).replace(self._prefix + self.id)
        self._remove_dead()

    def is_alive(self, process_id: str, /) -> bool:
        """Whether a process still holds its mark; on Windows always True."""
        if process_id == self.id or sys.platform == "win32":
            return True
        try:
            descriptor = os.open(self._prefix + process_id, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _lock(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Take the mark away."""
        Path(self._prefix + self.id).unlink(missing_ok=True)
        os.close(self._descriptor)

    def _remove_dead(self) -> None:
        prefix = Path(self._prefix)
        for path in prefix.parent.glob(f"{prefix.name}*"):
            if not self.is_alive(path.name.removeprefix(prefix.name)):
                path.unlink(missing_ok=True)

"""A process that asks a limiter as fast as it can: `python limit_hammer.py PATH LIMIT PERIOD`.

It prints as JSON when it began and ended and how often it was let in, for `test_limiters.py`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from openbolt.protocols import RatePolicy
from openbolt_local.sqlite import SQLiteDatabase
from openbolt_local.sqlite_limits import SQLiteRateLimiter

SECONDS = 1.5


async def hammer(path: str, policy: RatePolicy) -> dict[str, float]:
    async with SQLiteDatabase.open(path, busy_timeout=30) as database:
        limiter = SQLiteRateLimiter(database)
        allowed = 0
        began = time.time()
        while time.time() < began + SECONDS:
            decisions = await asyncio.gather(*(limiter.acquire("all", policy) for _ in range(4)))
            allowed += sum(decision.allowed for decision in decisions)
        return {"allowed": allowed, "began": began, "ended": time.time()}


if __name__ == "__main__":
    shared = RatePolicy("shared", int(sys.argv[2]), float(sys.argv[3]))
    print(json.dumps(asyncio.run(hammer(sys.argv[1], shared))))

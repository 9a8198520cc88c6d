"""`docs/reference/faults.md` is made by playing every fault, so that it can't be wrong.

To write it anew: ``python tests/durability/test_fault_table.py``.
"""

from __future__ import annotations

import asyncio
import sys
from difflib import unified_diff
from pathlib import Path

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from tests.durability.fault_table import page_of, rows  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "faults.md"


async def test_the_table_of_faults_says_what_happens() -> None:
    played, written = page_of(await rows()).splitlines(), PAGE.read_text().splitlines()
    changed = list(unified_diff(written, played, "written", "played", n=0, lineterm=""))
    assert not changed, "\n".join(changed)


if __name__ == "__main__":
    PAGE.write_text(page_of(asyncio.run(rows())))

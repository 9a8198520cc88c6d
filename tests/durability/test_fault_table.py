"""`docs/reference/faults.md` is made by playing every fault, so that it can't be wrong.

To write it anew: ``python tests/durability/test_fault_table.py``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from tests.durability.fault_table import page_of, rows  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "faults.md"


async def test_the_table_of_faults_says_what_happens() -> None:
    assert page_of(await rows()) == PAGE.read_text()


if __name__ == "__main__":
    PAGE.write_text(page_of(asyncio.run(rows())))

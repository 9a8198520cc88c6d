"""The backend that the how-to page writes, under the suite, exactly as the page says."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-backend.md"

_BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)

# The first two define the store and its tests, which pytest collects from this module.
exec(compile("\n".join(_BLOCKS[:2]), PAGE, "exec", dont_inherit=True))

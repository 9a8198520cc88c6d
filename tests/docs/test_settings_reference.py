"""`docs/reference/settings.md` is made from the code, so that it can't be wrong.

To write it anew: ``python tests/docs/test_settings_reference.py``.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import attrs

from openbolt import Settings
from openbolt.hidden import Hidden
from openbolt.settings import variable_name

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
HEAD = """\
# Settings

`openbolt.Settings` is one frozen value. `Settings.from_mapping(os.environ)` reads the variables
below; in code, pass the fields by name. Durations are seconds, sizes are bytes, lists are
comma-separated. A wrong value is a `ConfigurationError` that names the variable.

| field | variable | default | what |
|---|---|---|---|
"""


def described() -> dict[str, str]:
    """What the class docstring says of each attribute."""
    text = inspect.getdoc(Settings) or ""
    body = text[text.index("Attributes:") :]
    pattern = r"^    (\w+): (.+?)(?=\n    \w+: |\n\n    \w+: |\Z)"
    found = re.findall(pattern, body, re.DOTALL | re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in found}


def page() -> str:
    """The page as it should be."""
    words = described()
    rows = []
    for field in attrs.fields(Settings):
        value = field.default.reveal() if isinstance(field.default, Hidden) else field.default
        default = "" if value in (None, ()) else f"`{value!r}`"
        name = str(field.alias)
        what = words[name].replace("``", "`").replace("|", "\\|")
        rows.append(f"| `{name}` | `{variable_name(name)}` | {default} | {what} |\n")
    return HEAD + "".join(rows)


def test_reference_says_what_the_code_says() -> None:
    assert PAGE.read_text() == page()


if __name__ == "__main__":
    PAGE.write_text(page())

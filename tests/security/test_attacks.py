"""The table of attacks is true: its tests are there, its edits fit the source, its page says so.

To write the page anew: ``python -m tests.security.test_attacks``. (That each defence is what its
test stands on is shown by ``python -m tests.security.mutations``.)
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tests.security.attacks import ATTACKS, LAYERS, NOT_DEFENDED, Attack
from tests.security.mutations import ROOT, mutated

PAGE = ROOT / "docs" / "explanation" / "security.md"
MARK = "<!-- From here on made by `python -m tests.security.test_attacks`. -->\n"
OWN = "test_attacks_"


def generated() -> str:
    """The page's part that is made of the table."""
    parts = [MARK]
    for layer in LAYERS:
        parts.append(f"\n## {layer.title}\n\n{_wrapped(layer.intro)}\n")
        parts.append("| the attacker | is stopped by | in | test |\n|---|---|---|---|\n")
        parts.extend(_row(attack) for attack in layer.attacks)
    parts.append("\n## What is not defended\n\n| what | instead |\n|---|---|\n")
    parts.extend(f"| {each.does} | {each.instead} |\n" for each in NOT_DEFENDED)
    taken = sum(1 for attack in ATTACKS if attack.without)
    end = (
        f"These are {len(ATTACKS)} attacks; the defences against {taken} of them are taken out, "
        "one after another, by `python -m tests.security.mutations`. The rest are stopped by "
        "something that isn't there (a route, a place that is read), a browser or the provider."
    )
    parts.append(f"\n{_wrapped(end)}")
    return "".join(parts)


def _row(attack: Attack) -> str:
    where = ", ".join(f"`{name}`" for name in attack.where)
    test = attack.test.removeprefix("tests/")
    return f"| {attack.does} | {attack.defence} | {where} | `{test}` |\n"


def _wrapped(text: str, width: int = 105) -> str:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line]) + "\n"


def test_the_page_says_what_the_table_says() -> None:
    text = PAGE.read_text()
    assert text[text.index(MARK) :] == generated()


def test_every_test_of_the_table_is_collected() -> None:
    wanted = sorted({row.test for row in (*ATTACKS, *NOT_DEFENDED) if row.test})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *wanted],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    collected = {line.partition("[")[0] for line in done.stdout.splitlines()}
    assert set(wanted) <= collected


def test_every_attack_that_is_tested_here_is_in_the_table() -> None:
    known = {row.test for row in (*ATTACKS, *NOT_DEFENDED)}
    left_out = {test for test in _tests_here() if test not in known}
    assert left_out == SHOWN_BESIDES


SHOWN_BESIDES = {
    # What others of the same file stand on, or a second way to what another row shows.
    "tests/security/test_attacks_accounts.py::test_an_export_holds_something_of_somebody_else",
    "tests/security/test_attacks_cross_site.py"
    "::test_only_the_trusted_page_is_told_and_by_its_own_name",
    "tests/security/test_attacks_input.py::test_ids_and_sizes_tell_what_others_do",
    "tests/security/test_attacks_keys.py::test_a_key_lists_or_revokes_keys_of_somebody_else",
    "tests/security/test_attacks_limits.py::test_a_route_is_asked_in_other_spellings",
    "tests/security/test_attacks_links.py::test_every_link_opens_whatever_its_token",
    "tests/security/test_attacks_sessions.py::test_a_session_of_somebody_else_is_ended",
    "tests/security/test_attacks_sessions.py::test_ids_of_sessions_are_made_up",
}


def _tests_here() -> set[str]:
    found: set[str] = set()
    for path in Path(__file__).parent.glob(f"{OWN}*.py"):
        for node in ast.parse(path.read_text()).body:
            named = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            if named and node.name.startswith("test_"):
                found.add(f"tests/security/{path.name}::{node.name}")
    return found


def test_every_defence_is_where_the_table_says() -> None:
    missing = {
        name for row in ATTACKS for name in row.where if not (ROOT / "src/openbolt" / name).exists()
    }
    assert missing == set()


def test_every_defence_can_be_taken_out() -> None:
    """What an edit takes out is in the source, once, and what is left is Python."""
    for attack in ATTACKS:
        files = {edit.file: (ROOT / "src" / edit.file).read_text() for edit in attack.without}
        for name, text in mutated(files, attack.without).items():
            compile(text, name, "exec", flags=ast.PyCF_ONLY_AST)


def test_no_two_rows_say_the_same() -> None:
    assert len({attack.does for attack in ATTACKS}) == len(ATTACKS) >= 100


if __name__ == "__main__":
    text = PAGE.read_text()
    PAGE.write_text(text[: text.index(MARK)] + generated())

"""Change the app of an earlier turn as asked: theme, accent, title, footer, size of text.

The law: a follow-up changes the lines that it is about and no others, and says so when it cannot.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import evolve, frozen

from openbolt_local.mocks.conversation import Project

ACCENTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "indigo": ("#4f46e5", "#a5b4fc"),
        "blue": ("#1d5fd1", "#93c1fb"),
        "green": ("#177a3d", "#7fdca0"),
        "teal": ("#0f766e", "#6fdccd"),
        "red": ("#c22222", "#fca5a5"),
        "orange": ("#b4470c", "#fdba74"),
        "yellow": ("#8a6100", "#f5d563"),
        "purple": ("#7e22ce", "#d8b4fe"),
        "pink": ("#be185d", "#f9a8d4"),
        "gray": ("#4b5563", "#c3c9d4"),
    }
)
"""Accent name -> (on light, on dark); both have a contrast of at least 4.5
to the page and to the text on them."""

_COLORS = {
    **{name: name for name in ACCENTS},
    "grey": "gray", "violet": "purple", "rose": "pink", "turquoise": "teal", "cyan": "teal",
    "blau": "blue", "grün": "green", "rot": "red", "gelb": "yellow", "lila": "purple",
    "rosa": "pink", "grau": "gray", "bleu": "blue", "vert": "green", "rouge": "red",
    "jaune": "yellow", "azul": "blue", "verde": "green", "rojo": "red", "amarillo": "yellow",
}  # fmt: skip

_LARGEST_TEXT = 200
_SMALLEST_TEXT = 75

_MORE = r",?\s+(?:and|then|und)\s+(?:make|add|change|set|mach|use)\b"
_SAID = (
    r":?\s*(?:[\"“'‘«„](?P<quoted>[^\"”'’»“\n]+)[\"”'’»“]"
    rf"|(?P<plain>[^\n]+?)(?=\s*(?:[.!]?\s*$|{_MORE})))"
)
"""What to write: in quotes, or the rest of the line up to the next wish."""

_IT = r"(?:it|this|that|the\s+(?:app|page|site|title|heading)|es|die\s+(?:app|seite))"
_RENAMES = tuple(
    re.compile(rf"\b{words}\s+(?:to\s+|as\s+|in\s+|zu\s+)?{_SAID}", re.IGNORECASE | re.MULTILINE)
    for words in (
        rf"(?:re-?name|re-?title|call|title|name|nenne)\s+{_IT}",
        r"(?:change|set|make|ändere)\s+(?:the|its|den)\s+(?:title|name|heading|titel)",
    )
)
_FOOTER = re.compile(
    r"\bfooter\b\s*(?:at\s+the\s+bottom\s*)?(?:that\s+|which\s+)?(?:to\s+)?"
    rf"(?:(?:say(?:s|ing)?|reads?|reading|with|text)\b|(?=:))\s*(?:the\s+text\s+)?{_SAID}",
    re.IGNORECASE | re.MULTILINE,
)


def _sizing(words: str) -> re.Pattern[str]:
    letters = r"\b(?:text|font|fonts|letters|schrift|type)\b"
    return re.compile(
        rf"\b(?:{words})\b.*{letters}|{letters}.*\b(?:{words})\b"
        rf"|^\W*(?:make\s+(?:it|everything)\s+)?(?:{words})\W*$",
        re.IGNORECASE,
    )


_BIGGER = _sizing(r"bigger|larger|größere?|increase")
_SMALLER = _sizing(r"smaller|kleinere?|decrease|reduce")
_DARK = re.compile(r"\b(dark|darker|night|dunkel|dunkler|dunkles|sombre|oscuro)\b", re.IGNORECASE)
_LIGHT = re.compile(r"\b(light|lighter|bright|hell|heller|helles|clair|claro)\b", re.IGNORECASE)
_COLOR = re.compile(rf"\b({'|'.join(_COLORS)})\b", re.IGNORECASE)
_ELSEWHERE = re.compile(
    r"\b(background|hintergrund|border|header|headings?|text|font)\b", re.IGNORECASE
)
"""Places whose color is not the accent: such a wish is not understood."""

_SCHEME_LINE = re.compile(r"(?m)^(\s*color-scheme:\s*)[^;]+(;)")
_ACCENT_LINE = re.compile(r"(?m)^(\s*--accent:\s*)[^;]+(;)")
_SIZE_LINE = re.compile(r"(?m)^(\s*--text-size:\s*)(\d+(?:\.\d+)?)(%;)")
_TITLE = re.compile(r"(<title>).*?(</title>)", re.DOTALL)
_HEADING = re.compile(r"(<h1\b[^>]*>).*?(</h1>)", re.DOTALL)
_FOOTER_ELEMENT = re.compile(r"(<footer\b[^>]*>).*?(</footer>)", re.DOTALL)

_Edit = Callable[[str], str | None]


@frozen
class FollowUp:
    """A changed project: only the files that changed, and a sentence for each wish."""

    project: Project
    changed: tuple[tuple[str, str], ...]
    done: tuple[str, ...]
    failed: tuple[str, ...]


@frozen
class _Wish:
    """One change. The edit gives None for a file that has no place for it."""

    sentence: str
    suffix: str
    edit: _Edit
    title: str | None = None


def follow_up(project: Project, prompt: str) -> FollowUp | None:
    """Apply every change that `prompt` asks for, or None if it asks for none."""
    wishes = _wishes(prompt)
    if not wishes:
        return None
    before = dict(project.files)
    files = dict(before)
    done: list[str] = []
    failed: list[str] = []
    title = project.title
    for wish in wishes:
        edits = {
            path: wish.edit(text) for path, text in files.items() if path.endswith(wish.suffix)
        }
        found = {path: text for path, text in edits.items() if text is not None}
        if not found:
            failed.append(wish.sentence)
            continue
        files.update(found)
        done.append(wish.sentence)
        title = wish.title or title
    changed = tuple((path, text) for path, text in files.items() if text != before[path])
    result = evolve(project, title=title, files=tuple(files.items()))
    return FollowUp(result, changed, tuple(done), tuple(failed))


def _wishes(prompt: str) -> list[_Wish]:
    wishes: list[_Wish] = []
    rest = prompt
    if match := _FOOTER.search(rest):
        wishes.append(_footer(_said(match)))
        rest = _without(rest, match)
    match = next((found for regex in _RENAMES if (found := regex.search(rest))), None)
    if match is not None:
        wishes.append(_rename(_said(match)))
        rest = _without(rest, match)
    if _BIGGER.search(rest):
        wishes.append(_Wish("The text is bigger.", ".css", lambda css: _resize(css, 12.5)))
    elif _SMALLER.search(rest):
        wishes.append(_Wish("The text is smaller.", ".css", lambda css: _resize(css, -12.5)))
    if (match := _COLOR.search(rest)) and not _ELSEWHERE.search(rest):
        wishes.append(_recolor(_COLORS[match.group(1).lower()]))
    if _DARK.search(rest):
        wishes.append(_Wish("The page is dark now.", ".css", lambda css: set_scheme(css, "dark")))
    elif _LIGHT.search(rest):
        wishes.append(_Wish("The page is light now.", ".css", lambda css: set_scheme(css, "light")))
    return wishes


def _without(text: str, match: re.Match[str]) -> str:
    return text[: match.start()] + "\n" + text[match.end() :]


def _said(match: re.Match[str]) -> str:
    """What was quoted, or else the rest of the line without its full stop."""
    return " ".join((match["quoted"] or match["plain"]).split())


def _recolor(accent: str) -> _Wish:
    return _Wish(f"The accent color is {accent}.", ".css", lambda css: set_accent(css, accent))


def _rename(title: str) -> _Wish:
    return _Wish(
        f"It is called “{title}” now.", ".html", lambda page: set_title(page, title), title
    )


def _footer(text: str) -> _Wish:
    return _Wish(f"The footer says “{text}”.", ".html", lambda page: set_footer(page, text))


def _replace(pattern: re.Pattern[str], new: str, text: str) -> str | None:
    """Replace what stands between the first and the last group of the first match."""
    changed, count = pattern.subn(
        lambda match: match[1] + new + match[match.re.groups], text, count=1
    )
    return changed if count else None


def set_scheme(css: str, scheme: str) -> str | None:
    """Set `color-scheme`: "light", "dark" or "light dark"; None if the sheet has none."""
    return _replace(_SCHEME_LINE, scheme, css)


def set_accent(css: str, accent: str) -> str | None:
    """Set the custom property `--accent` to one of ACCENTS; None if the sheet has none."""
    on_light, on_dark = ACCENTS[accent]
    return _replace(_ACCENT_LINE, f"light-dark({on_light}, {on_dark})", css)


def set_title(page: str, title: str) -> str | None:
    """Set the title and the first heading of a page, escaped; None if it has neither."""
    text = html.escape(title, quote=False)
    titled = _replace(_TITLE, text, page)
    headed = _replace(_HEADING, text, page if titled is None else titled)
    return titled if headed is None else headed


def set_footer(page: str, text: str) -> str | None:
    """Set the footer's text or add a footer at the end of the body; None if there is no body."""
    content = f"<p>{html.escape(text, quote=False)}</p>"
    replaced = _replace(_FOOTER_ELEMENT, content, page)
    if replaced is not None:
        return replaced
    before, end, after = page.rpartition("  </body>")
    if not end:
        before, end, after = page.rpartition("</body>")
    return f"{before}    <footer>{content}</footer>\n{end}{after}" if end else None


def _resize(css: str, step: float) -> str | None:
    match = _SIZE_LINE.search(css)
    if match is None:
        return None
    size = min(max(float(match[2]) + step, _SMALLEST_TEXT), _LARGEST_TEXT)
    return css[: match.start(2)] + f"{size:g}" + css[match.end(2) :]

"""Every page that the mock builds is whole: it parses, it can be read, it needs nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from openbolt_local.mocks.followups import ACCENTS
from openbolt_local.mocks.pages import FILES, PAGES, page_files

VOID = {"meta", "link", "input", "br", "img", "hr"}
pytestmark = pytest.mark.parametrize("page", sorted(PAGES))


class Outline(HTMLParser):
    """Tags in order, with what must be true of every page noted on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.labels: set[str] = set()
        self.fields: list[dict[str, str | None]] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags[tag] += 1
        self.ids += [values["id"]] if values.get("id") else []
        self.links += [value for key in ("href", "src") if (value := values.get(key))]
        self.inline += [key for key in values if key.startswith("on") or key == "style"]
        if tag == "label" and values.get("for"):
            self.labels.add(str(values["for"]))
        if tag in {"input", "select", "textarea"}:
            self.fields.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.ids += [value for key, value in attrs if key == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page_files(page)["index.html"])
    parser.close()
    return parser


def test_its_markup_is_well_formed(page: str) -> None:
    found = outline(page)
    assert found.open == []
    assert [found.tags[tag] for tag in ("html", "head", "body", "title", "main", "h1")] == [1] * 6
    assert page_files(page)["index.html"].startswith('<!doctype html>\n<html lang="en">')


def test_its_ids_are_unique_and_its_fields_labelled(page: str) -> None:
    found = outline(page)
    assert [name for name, count in Counter(found.ids).items() if count > 1] == []
    assert [field for field in found.fields if field.get("id") not in found.labels] == []


def test_its_links_lead_to_its_own_files_only(page: str) -> None:
    found = outline(page)
    wrong = [
        link
        for link in found.links
        if link not in {*FILES, "data:,"} and link.removeprefix("#") not in found.ids
    ]
    assert wrong == []
    assert found.inline == []


def test_it_asks_for_nothing_from_anywhere(page: str) -> None:
    for text in page_files(page).values():
        assert re.findall(r"https?:|url\(|@import|fetch\(|//[a-z]+\.", text) == []


def test_its_script_finds_what_it_looks_for(page: str) -> None:
    found = outline(page)
    names = re.findall(r"querySelector\(\"#([\w-]+)\"\)", page_files(page)["script.js"])
    assert [name for name in names if name not in found.ids] == []


def test_no_file_is_damaged_on_its_way_through_an_artifact(page: str) -> None:
    for name, text in page_files(page).items():
        assert "</boltAction>" not in text
        assert text == text.strip() + "\n"
        # A source file with escaped brackets and no real ones would be "repaired".
        assert "<" in text or "&lt;" not in text, name


def test_its_script_parses(page: str, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        assert not os.environ.get("CI"), "node is missing"
        pytest.skip("node is not installed")
    script = tmp_path / "script.js"
    script.write_text(page_files(page)["script.js"], encoding="utf-8")
    checked = subprocess.run([node, "--check", script], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def luminance(color: str) -> float:
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def colors_of(page: str) -> dict[str, list[str]]:
    """By name: in light, and in dark."""
    css = page_files(page)["style.css"]
    pairs = dict(re.findall(r"--([\w-]+): light-dark\(([^)]*)\);", css))
    return {name: value.split(", ") for name, value in pairs.items()}


def test_its_colors_can_be_told_apart_in_light_and_dark(page: str) -> None:
    colors = colors_of(page)
    weak = [
        (front, back, scheme)
        for front, back in (
            *(
                (name, behind)
                for name in ("text", "muted", "accent", "bad")
                for behind in ("background", "surface")
            ),
            ("on-accent", "accent"),
            ("text", "sunken"),
        )
        for scheme in (0, 1)
        if contrast(colors[front][scheme], colors[back][scheme]) < 4.5
    ]
    assert weak == []


def test_every_accent_can_be_put_on_it(page: str) -> None:
    grounds = colors_of(page)
    weak = [
        (accent, back, scheme)
        for accent, colors in ACCENTS.items()
        for back in ("background", "surface", "on-accent")
        for scheme in (0, 1)
        if contrast(colors[scheme], grounds[back][scheme]) < 4.5
    ]
    assert weak == []

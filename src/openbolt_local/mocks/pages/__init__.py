"""The apps that the mock can build: static files beside this module, and how to ask for them.

The law: every page is whole and works alone, in light and dark, on a phone, by keyboard, with no
request to anywhere; storage may be denied (a sandboxed preview) without breaking it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files as resource_files
from types import MappingProxyType

from attrs import frozen

from openbolt_local.mocks.followups import set_accent

FILES = ("index.html", "style.css", "script.js")


@frozen
class Page:
    """One app: the words that ask for it, and what is said around it."""

    id: str
    title: str
    accent: str
    keywords: str
    opening: str
    closing: str
    unspaced: str = "(?!)"
    """Keywords of languages that put no spaces between words."""


PAGES: Mapping[str, Page] = MappingProxyType(
    {
        page.id: page
        for page in (
            Page(
                "todo-list",
                "Todo list",
                "indigo",
                r"to-?dos?|to do|tasks?|check-?lists?|shopping list|groceries"
                r"|aufgaben\w*|einkaufsliste|tâches|tareas|pendientes|attività|takenlijst",
                "I'll build a todo list: add entries, check them off, filter and delete them. "
                "It keeps them in your browser.",
                "Type an entry and press Enter. The list is still there after a reload.",
                unspaced="待办|やること|할 일",
            ),
            Page(
                "landing",
                "Make something people come back to",
                "purple",
                r"landing|home ?page|website|web site|marketing|startup|product page|portfolio"
                r"|startseite|webseite|page d'accueil|sitio web|página de inicio",
                "I'll build a landing page with a hero, features, questions and answers and a "
                "sign-up field.",
                "The texts are placeholders: replace them in `index.html`. The sign-up field "
                "checks the address but sends nothing anywhere.",
            ),
            Page(
                "snake",
                "Snake",
                "green",
                r"snake|games?|arcade|spiel(e|en)?|jeux?|juegos?|gioco|spel",
                "I'll build a game of Snake, with arrow keys on a keyboard and buttons on a phone.",
                "Press Start or an arrow key. Your best score is kept.",
                unspaced="游戏|ゲーム|게임",
            ),
            Page(
                "memory",
                "Memory",
                "orange",
                r"memory|concentration|matching|find the pairs|pairs|paare",
                "I'll build a memory game with eight pairs of cards.",
                "Turn over two cards at a time; the fewest moves are kept as your record.",
            ),
            Page(
                "notes",
                "Notes",
                "yellow",
                r"notes|note[- ]?(taking|book|pad)|notebook|journal|diary|notiz\w*"
                r"|tagebuch|carnet|notas",
                "I'll build a notes app: a list on one side, an editor on the other, with search.",
                "Notes are saved while you type, in your browser.",
            ),
            Page(
                "chart",
                "Chart",
                "blue",
                r"charts?|graphs?|diagrams?|plots?|dashboard|statistics|diagramme?|statistik|graphique"
                r"|gráficos?|grafico",
                "I'll build a bar chart that follows its table of numbers while you edit it.",
                "Change a number or a name in the table; the chart, the sum and the mean follow.",
            ),
            Page(
                "form",
                "Get in touch",
                "teal",
                r"forms?|contact|survey|registration|sign-?up|formular\w*|kontakt\w*|umfrage|formulaire"
                r"|formulario|encuesta",
                "I'll build a contact form that checks what is typed and says what is missing.",
                "Try to send it empty. It shows what it would send, and sends nothing.",
            ),
            Page(
                "calculator",
                "Calculator",
                "gray",
                r"calculator|calc|taschenrechner|rechner|calculatrice|calculadora|calcolatrice",
                "I'll build a calculator for mouse, touch and keyboard.",
                "Digits, + - * /, Enter and Escape work from the keyboard.",
            ),
            Page(
                "timer",
                "Timer",
                "red",
                r"timers?|countdown|pomodoro|stop-?watch|stoppuhr|wecker|eieruhr|minuteur|temporizador"
                r"|cronómetro|kitchen clock",
                "I'll build a countdown timer with presets and a ring that empties.",
                "Pick a preset or type the minutes; it beeps at the end.",
            ),
            Page(
                "quiz",
                "Quiz",
                "pink",
                r"quiz(zes)?|trivia|flash ?cards?|rätsel|cuestionario",
                "I'll build a short quiz that explains each answer and counts your points.",
                "The questions are the list at the top of `script.js`: put in your own.",
            ),
            Page(
                "page",
                "Your page",
                "indigo",
                r"(?!)",
                "I'll build a simple page as a start.",
                "It is a start, not a finished app: this offline mock knows only a few kinds of "
                "app by heart.",
            ),
        )
    }
)
"""Page id -> page; "page" is the one for everything else."""

_KEYWORDS = MappingProxyType(
    {
        page.id: re.compile(
            rf"(?<![^\W_])(?:{page.keywords})(?![^\W_])|{page.unspaced}", re.IGNORECASE
        )
        for page in PAGES.values()
    }
)


def find_page(prompt: str) -> Page | None:
    """The page whose keyword comes first in `prompt`, or None if there is no keyword in it.

    "A memory game" is the memory: a page of a more special kind wins over "game".
    """
    found = {
        page_id: match for page_id, regex in _KEYWORDS.items() if (match := regex.search(prompt))
    }
    if not found:
        return None
    if "snake" in found and found["snake"][0].lower() != "snake":
        special = {"memory", "quiz"} & found.keys()
        if special:
            found.pop("snake")
    return PAGES[min(found, key=lambda page_id: (found[page_id].start(), -len(found[page_id][0])))]


@cache
def page_files(page_id: str) -> Mapping[str, str]:
    """The three files of a page by name, as they are shipped."""
    folder = resource_files(__name__)
    base = (folder / "base.css").read_text(encoding="utf-8")
    texts = {name: (folder / page_id / name).read_text(encoding="utf-8") for name in FILES}
    css = set_accent(base + "\n" + texts["style.css"], PAGES[page_id].accent)
    if css is None:
        raise LookupError("base.css has no --accent")
    return MappingProxyType(texts | {"style.css": css})

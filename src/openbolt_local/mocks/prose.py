"""What the mock says when it builds nothing: honest about what it is, useful all the same.

The law: prose only. No artifact and no tag comes from here, whatever the user's words contain.
"""

from __future__ import annotations

import re

from openbolt_local.mocks.pages import find_page

_TAG = re.compile(r"</?[A-Za-z!][^<>]*>")
_WRAPPED = re.compile(r"<([\w-]*(?:prompt|request|message|idea))>(.*?)</\1>", re.DOTALL)

CAN_DO = """\
Here is what I can do without a model:

- **Build** a todo list, a landing page, a snake or memory game, notes, a chart, a contact form, \
a calculator, a timer or a quiz; for anything else, a simple page with your words on it.
- **Change** what I built: “make it dark” or “make it light”, “make it green”, \
“rename it to Groceries”, “add a footer saying Hello”, “bigger text”.

For everything else, set `ANTHROPIC_API_KEY` (or `ANTHROPIC_BASE_URL`) and start the server \
again."""

HELLO = (
    "Hello! I am openbolt's offline mock: no language model is behind me, only a script."
    f"\n\n{CAN_DO}"
)

NOTHING_YET = (
    "There is nothing to change yet: I have built no app in this chat. I am openbolt's offline "
    f"mock, a script without a language model.\n\n{CAN_DO}"
)

NOT_UNDERSTOOD = (
    "I did not understand that change. I am openbolt's offline mock, a script without a language "
    f"model, so nothing was changed.\n\n{CAN_DO}"
)

NOTHING_TO_CONTINUE = (
    "There is nothing to continue: my last answer was complete. I am openbolt's offline mock, a "
    f"script without a language model.\n\n{CAN_DO}"
)


def plain(text: str) -> str:
    """`text` without any tags; its words stay."""
    return _TAG.sub("", text).replace("<", "‹").replace(">", "›").strip()


def discuss(prompt: str) -> str:
    """Talk about a wish instead of building it."""
    page = find_page(prompt)
    words = plain(prompt)
    subject = f"“{words[:200]}”" if words else "your idea"
    if page is None:
        plan = (
            "I would start with the one thing a visitor comes for, put it at the top of a single "
            "page, and add the rest only when it is missed."
        )
    else:
        plan = (
            f"That sounds like the kind of app I know as “{page.title}”. I would make three files: "
            "`index.html` for the structure, `style.css` with a few custom properties for "
            "light and dark, and `script.js` for the behavior."
        )
    return (
        f"Let's talk about {subject}.\n\n{plan}\n\nSome things to decide first:\n\n"
        "1. Who uses it, and on which device?\n"
        "2. What has to be there again after a reload?\n"
        "3. What should it look like when it is still empty?\n\n"
        "Nothing is built in discuss mode. I am openbolt's offline mock, so these are stock "
        "questions; switch to build mode to get the app."
    )


_FEATURES = {
    "todo-list": (
        "Add an entry with Enter, check it off",
        "Filter: all, open, done",
        "Delete one entry, or all that are done",
    ),
    "landing": (
        "A hero with one clear call to action",
        "Three benefits, short",
        "Questions and answers, and a sign-up field that checks the address",
    ),
    "snake": (
        "Start, pause and restart",
        "A score and a best score",
        "Arrow keys on a keyboard, buttons on a phone",
    ),
    "memory": (
        "Eight shuffled pairs",
        "Counted moves and a record",
        "A clear ending with “play again”",
    ),
    "notes": (
        "A list, newest first, with search",
        "Saved while typing",
        "Delete with a way back",
    ),
    "chart": (
        "A chart that follows an editable table",
        "Axis labels and values that can be read",
        "Sum and mean",
    ),
    "form": (
        "Labels and hints on every field",
        "A message at each wrong field and a summary on top",
        "A clear confirmation",
    ),
    "calculator": (
        "The four operations, decimals, sign and percent",
        "Keyboard and touch",
        "No surprises on division by zero",
    ),
    "timer": (
        "Start, pause, reset",
        "Presets and a free number of minutes",
        "A sound and a visible sign at the end",
    ),
    "quiz": (
        "One question at a time",
        "An explanation after each answer",
        "A result with “try again”",
    ),
}
_OTHER_FEATURES = (
    "The one thing a visitor comes for, at the top",
    "Everything else in the order in which it is needed",
    "A helpful empty state",
)


def enhance(prompt: str) -> str:
    """A better prompt with the user's words kept, or a question if there are hardly any."""
    wrapped = _WRAPPED.findall(prompt)
    words = plain(wrapped[0][1] if len(wrapped) == 1 else prompt)
    if len(words.split()) < 2:
        about = f"What should “{words}” do" if words else "What would you like to build"
        return f"{about}, who is it for, and what should a visitor be able to do first?"
    page = find_page(words)
    features = _FEATURES.get(page.id, _OTHER_FEATURES) if page else _OTHER_FEATURES
    lines = "\n".join(f"- {feature}." for feature in features)
    return (
        f"{words}\n\n"
        f"Features:\n{lines}\n\n"
        "Layout:\n- One page that works from 320 pixels upwards, in light and dark.\n"
        "- A calm look: one accent color, generous spacing, system fonts.\n\n"
        "Accessibility:\n- Everything works by keyboard, with a visible focus.\n"
        "- Labels for all controls, a contrast of at least 4.5 to 1, changes announced.\n\n"
        "Data:\n- Keep the data in localStorage, and go on without it if it is not available.\n\n"
        "Technology:\n- Plain HTML, CSS and JavaScript in separate files, no external requests."
    )

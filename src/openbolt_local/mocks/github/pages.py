"""The pages that a person sees on the way.

The law: they work without a script, and whatever a request or a test wrote is text in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from openbolt_local.mocks.github.answers import HTML, Answer
from openbolt_local.mocks.github.registry import GitHubAccount

# No form-action: browsers hold redirects after the form to it as well, and they lead elsewhere.
_HEADERS = {
    "content-type": HTML,
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "strict-origin-when-cross-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 28rem; margin: 3rem auto; padding: 0 1rem; }
fieldset { border: 1px solid; border-radius: .4rem; margin: 1rem 0; }
label { display: block; padding: .3rem; }
button { font: inherit; padding: .4rem 1rem; margin-right: .5rem; }
"""


def page(status: int, title: str, body: str) -> Answer:
    """A whole page. `body` is HTML, `title` text."""
    text = (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f'<link rel="icon" href="data:,">\n<style>{_STYLE}</style>\n'
        f"<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</html>\n"
    )
    return Answer(status, _HEADERS, text.encode())


def message_page(status: int, title: str, message: str) -> Answer:
    """A page that says one thing."""
    return page(status, title, f"<p>{escape(message)}</p>")


def consent_page(
    app_name: str,
    accounts: Iterable[GitHubAccount],
    *,
    chosen: str,
    scopes: Iterable[str],
    hidden: Mapping[str, str],
    action: str,
) -> Answer:
    """Who are you, and may the application have this?

    Args:
        app_name: as the application is registered.
        accounts: whom the person can be.
        chosen: the login that is marked already.
        scopes: what is asked for.
        hidden: fields that come back with the answer.
        action: where the answer goes.
    """
    choices = "\n".join(
        f'<label><input type="radio" name="login" value="{escape(account.login)}" required'
        f"{' checked' if account.login == chosen else ''}> {escape(account.login)}"
        f"{f' ({escape(account.name)})' if account.name else ''}</label>"
        for account in accounts
    )
    wanted = "".join(f"<li><code>{escape(scope)}</code></li>" for scope in scopes)
    asked = (
        f"<p>It asks for:</p>\n<ul>{wanted}</ul>" if wanted else "<p>It asks for public data.</p>"
    )
    fields = "\n".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in hidden.items()
    )
    return page(
        200,
        f"Authorize {app_name}",
        f"<p>A stand-in for GitHub: no password is asked.</p>\n"
        f'<form method="post" action="{escape(action)}">\n{fields}\n'
        f"<fieldset><legend>Sign in as</legend>\n{choices}\n</fieldset>\n{asked}\n"
        f'<button name="decision" value="authorize">Authorize</button>\n'
        f'<button name="decision" value="cancel" formnovalidate>Cancel</button>\n</form>',
    )

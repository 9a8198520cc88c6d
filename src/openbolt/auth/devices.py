"""What a browser calls itself, made short enough to be recognised by whoever uses it.

Law: at most 60 characters come out, in words of our own; of a ``User-Agent`` that isn't known, only
its first product's name is kept. It is a hint for people and proves nothing.
"""

from __future__ import annotations

import re

from openbolt.http import Request

__all__ = ["device_of"]

_LOOKED_AT = 512
_NAME_CHARS = 40

# The first that fits wins: browsers name those that they descend from, too.
_BROWSERS = (
    (re.compile(r"\bEdg(?:e|A|iOS)?/"), "Edge"),
    (re.compile(r"\b(?:OPR|OPT|OPX)/"), "Opera"),
    (re.compile(r"\bSamsungBrowser/"), "Samsung Internet"),
    (re.compile(r"\bVivaldi/"), "Vivaldi"),
    (re.compile(r"\b(?:Firefox|FxiOS)/"), "Firefox"),
    (re.compile(r"\b(?:Chrome|CriOS|Chromium|HeadlessChrome)/"), "Chrome"),
    (re.compile(r"\bVersion/[0-9.]+ .*\bSafari/"), "Safari"),
)
_SYSTEMS = (
    (re.compile(r"\bAndroid\b"), "Android"),
    (re.compile(r"\biPhone\b"), "iPhone"),
    (re.compile(r"\biPad\b"), "iPad"),
    (re.compile(r"\bCrOS\b"), "ChromeOS"),
    (re.compile(r"\bWindows\b"), "Windows"),
    (re.compile(r"\bMac(?:intosh| OS X)\b"), "macOS"),
    (re.compile(r"\bLinux\b"), "Linux"),
)
_PRODUCT = re.compile(r"[A-Za-z][A-Za-z0-9._+-]*")


def device_of(request: Request, /) -> str:
    """As ``Firefox on Linux``; ``Unknown device`` where the request doesn't say."""
    agent = (request.headers.get("user-agent") or "")[:_LOOKED_AT]
    browser = _first(_BROWSERS, agent) or _product(agent)
    system = _first(_SYSTEMS, agent)
    if not browser:
        return f"Unknown browser on {system}" if system else "Unknown device"
    return f"{browser} on {system}" if system else browser


def _first(known: tuple[tuple[re.Pattern[str], str], ...], agent: str) -> str:
    return next((name for pattern, name in known if pattern.search(agent)), "")


def _product(agent: str) -> str:
    found = _PRODUCT.match(agent)
    if found is None or found[0] == "Mozilla":  # as every browser begins
        return ""
    return found[0][:_NAME_CHARS]

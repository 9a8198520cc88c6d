"""Where a sign-in leads: to the provider's page, to our callback, and back to where it began.

Law: nothing that a request says leads off our own origin. A place to return to is an absolute path
in characters that every URL parser reads alike, before and after percent-decoding; anything else is
no place, and the application's front page stands in for it.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

from openbolt.errors import InvalidRequestError
from openbolt.http import Headers, Request, Response
from openbolt.settings import Settings

__all__ = ["callback_url", "mount_path", "redirect", "safe_return_to", "sign_in_path"]

MAX_RETURN_TO = 1024
"""Characters; it travels in a cookie, whose 4,096 bytes are shared with the rest of an attempt."""

_URL_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/?#%-]*")
_HOST = re.compile(r"[a-z0-9._-]+(?::[0-9]{1,5})?|\[[0-9a-f:.]+\](?::[0-9]{1,5})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_DECODINGS = 4


def mount_path(request: Request, settings: Settings, /) -> str:
    """The path that browsers reach the application at, without a slash at its end.

    A ``public_url`` with a path names it; else it is where the application was mounted.
    """
    named = urlsplit(settings.public_url).path.rstrip("/") if settings.public_url else ""
    return named or quote(request.root_path, safe="/-._~!$&'()*+,;=:@")


def sign_in_path(request: Request, settings: Settings, provider: str, /) -> str:
    """The path at which a sign-in begins."""
    return f"{mount_path(request, settings)}/api/auth/{provider}/login"


def callback_url(request: Request, settings: Settings, provider: str, /) -> str:
    """The URL that has to be registered at the provider, exactly.

    Raises:
        InvalidRequestError: There is no ``public_url``, and the request's host is none.
    """
    if settings.public_url:
        public = urlsplit(settings.public_url)
        origin = f"{public.scheme}://{public.netloc.lower()}"
    elif request.scheme in {"http", "https"} and _HOST.fullmatch(request.host):
        origin = f"{request.scheme}://{request.host}"
    else:
        raise InvalidRequestError("Host: is missing or malformed", field="host")
    return f"{origin}{mount_path(request, settings)}/api/auth/{provider}/callback"


def safe_return_to(text: str | None, /, *, default: str) -> str:
    """A path on our own origin, with its query and fragment.

    Args:
        default: Comes back where ``text`` is missing, or isn't such a path.
    """
    if text is None or len(text) > MAX_RETURN_TO or not _URL_PATH.fullmatch(text):
        return default
    # What stands between us and the browser may decode, so none of the decoded forms may be read
    # as another host either; and what is still encoded after some rounds, no page of ours made.
    form = text
    for _ in range(_MAX_DECODINGS):
        path = re.split(r"[?#]", form, maxsplit=1)[0]
        if "//" in path or "\\" in form or _CONTROL.search(form):
            return default
        decoded = unquote(form)
        if decoded == form:
            return text
        form = decoded
    return default


def redirect(location: str, /) -> Response:
    """A redirect that nothing keeps, and that doesn't tell the next page where it came from."""
    return Response(
        302,
        Headers.of(
            {
                "location": location,
                "cache-control": "no-store",
                "referrer-policy": "no-referrer",
            }
        ),
    )

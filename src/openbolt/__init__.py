"""The server side of an AI app builder: a prompt in, a streamed reply out, its files saved.

Importing this package does no I/O and loads no backend. The public names are below; errors are in
`openbolt.errors`, what a backend implements in `openbolt.protocols`. The application itself is
loaded when it is first named: whoever wants values and protocols alone doesn't wait for it.
"""

import typing

from openbolt.errors import OpenBoltError
from openbolt.http import Handler, Headers, Principal, Request, RequestContext, Response
from openbolt.settings import Settings

if typing.TYPE_CHECKING:
    from openbolt.app import Dependencies, OpenBolt

__version__ = "0.1.0"

__all__ = [
    "Dependencies",
    "Handler",
    "Headers",
    "OpenBolt",
    "OpenBoltError",
    "Principal",
    "Request",
    "RequestContext",
    "Response",
    "Settings",
    "__version__",
]


if not typing.TYPE_CHECKING:  # or type checkers would take any name for one of ours

    def __getattr__(name: str) -> typing.Any:
        if name in {"Dependencies", "OpenBolt"}:
            from openbolt import app

            return globals().setdefault(name, getattr(app, name))
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

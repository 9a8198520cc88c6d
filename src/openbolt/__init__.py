"""The server side of an AI app builder: a prompt in, a streamed reply out, its files saved.

Importing this package does no I/O and loads no backend. The public names are below; errors are in
`openbolt.errors`, what a backend implements in `openbolt.protocols`.
"""

from openbolt.app import Dependencies, OpenBolt
from openbolt.errors import OpenBoltError
from openbolt.http import Handler, Headers, Principal, Request, RequestContext, Response
from openbolt.settings import Settings

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

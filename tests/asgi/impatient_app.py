"""The app of `served_app` with limits that a test can wait for."""

from openbolt.asgi import serve_handler
from openbolt.edge import EdgeLimits
from tests.asgi.served_app import open_handler

app = serve_handler(
    open_handler,
    limits=EdgeLimits(
        body_timeout=0.5,
        min_body_rate=1000,
        write_timeout=0.5,
        max_url_bytes=2000,
        max_header_bytes=2000,
        max_header_fields=20,
    ),
)

"""The server side of an AI app builder: a prompt in, a streamed reply out, its files saved.

Importing this package does no I/O and loads no backend.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]

"""Stand-ins at the wire for services that cost money or need an account.

The law: a client cannot tell them from the service by anything but the wit of the answers; no seam
of ours is bent to reach them.
"""

from openbolt_local.mocks.connection import ReceivedRequest
from openbolt_local.mocks.faults import Directive, DirectiveError
from openbolt_local.mocks.github import (
    GitHubAccount,
    GitHubApp,
    GitHubEmail,
    GitHubMock,
    RefusedPageError,
)
from openbolt_local.mocks.reply import Reply
from openbolt_local.mocks.server import LIVELY, AnthropicMock, StreamRecord
from openbolt_local.mocks.tokens import InputUsage, count_tokens

__all__ = [
    "LIVELY",
    "AnthropicMock",
    "Directive",
    "DirectiveError",
    "GitHubAccount",
    "GitHubApp",
    "GitHubEmail",
    "GitHubMock",
    "InputUsage",
    "ReceivedRequest",
    "RefusedPageError",
    "Reply",
    "StreamRecord",
    "count_tokens",
]

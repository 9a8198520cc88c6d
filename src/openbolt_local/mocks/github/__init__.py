"""A stand-in for GitHub's sign-in: the web flow, its tokens, and the API calls that follow.

The law: it refuses what GitHub refuses, in GitHub's words, or is stricter; it never lets through
what GitHub would not.
"""

from openbolt_local.mocks.github.asking import RefusedPageError
from openbolt_local.mocks.github.faults import FaultName, GitHubFault
from openbolt_local.mocks.github.registry import GitHubAccount, GitHubApp, GitHubEmail
from openbolt_local.mocks.github.server import GitHubMock

__all__ = [
    "FaultName",
    "GitHubAccount",
    "GitHubApp",
    "GitHubEmail",
    "GitHubFault",
    "GitHubMock",
    "RefusedPageError",
]

"""People and organizations, as the API writes them.

The law: the fields that an application could lean on have GitHub's names and types.
https://docs.github.com/en/rest/users/users#get-the-authenticated-user
"""

from __future__ import annotations

import base64
import zlib

from openbolt_local.mocks.github.registry import GitHubAccount

_SINCE = "2011-01-25T18:44:36Z"

AVATAR = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""

AVATARS = "/avatars/u/"


def user_row(account: GitHubAccount, base_url: str, api_url: str) -> dict[str, object]:
    """The authenticated user, public fields only: `email` is what they show to everybody."""
    return {
        **simple_user(account, base_url, api_url),
        "name": account.name,
        "company": None,
        "blog": "",
        "location": None,
        "email": account.public_email,
        "hireable": None,
        "bio": None,
        "twitter_username": None,
        "public_repos": 0,
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "created_at": _SINCE,
        "updated_at": _SINCE,
    }


def simple_user(account: GitHubAccount, base_url: str, api_url: str) -> dict[str, object]:
    """Somebody, in short."""
    url = f"{api_url}/users/{account.login}"
    return {
        "login": account.login,
        "id": account.id,
        "node_id": _node_id("User", account.id),
        "avatar_url": account.avatar_url or f"{base_url}{AVATARS}{account.id}?v=4",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{base_url}/{account.login}",
        "followers_url": f"{url}/followers",
        "following_url": f"{url}/following{{/other_user}}",
        "gists_url": f"{url}/gists{{/gist_id}}",
        "starred_url": f"{url}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{url}/subscriptions",
        "organizations_url": f"{url}/orgs",
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events{{/privacy}}",
        "received_events_url": f"{url}/received_events",
        "type": "User",
        "user_view_type": "public",
        "site_admin": False,
    }


def email_rows(account: GitHubAccount) -> list[dict[str, object]]:
    """https://docs.github.com/en/rest/users/emails#list-email-addresses-for-the-authenticated-user."""
    return [
        {
            "email": email.email,
            "primary": email.primary,
            "verified": email.verified,
            "visibility": email.visibility,
        }
        for email in account.emails
    ]


def organization_row(org: str, api_url: str) -> dict[str, object]:
    """https://docs.github.com/en/rest/orgs/orgs#list-organizations-for-the-authenticated-user."""
    number = zlib.crc32(org.lower().encode())
    url = f"{api_url}/orgs/{org}"
    return {
        "login": org,
        "id": number,
        "node_id": _node_id("Organization", number),
        "url": url,
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events",
        "hooks_url": f"{url}/hooks",
        "issues_url": f"{url}/issues",
        "members_url": f"{url}/members{{/member}}",
        "public_members_url": f"{url}/public_members{{/member}}",
        "avatar_url": f"{api_url.removesuffix('/api/v3')}{AVATARS}{number}?v=4",
        "description": "",
    }


def membership_row(
    account: GitHubAccount, org: str, state: str, base_url: str, api_url: str
) -> dict[str, object]:
    """Somebody in an organization; `state` is ``active`` or ``pending``."""
    url = f"{api_url}/orgs/{org}"
    return {
        "url": f"{url}/memberships/{account.login}",
        "state": state,
        "role": "member",
        "organization_url": url,
        "organization": organization_row(org, api_url),
        "user": simple_user(account, base_url, api_url),
    }


def _node_id(kind: str, number: int) -> str:
    return base64.b64encode(f"0{len(kind)}:{kind}{number}".encode()).decode()

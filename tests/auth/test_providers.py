"""What settings make of identity providers."""

from __future__ import annotations

import pytest

from openbolt import Settings
from openbolt.auth.github import GitHub
from openbolt.auth.oidc import OpenIdConnect
from openbolt.auth.providers import identity_providers
from openbolt.errors import ConfigurationError

GITHUB = {"github_client_id": "id-1", "github_client_secret": "secret-1"}
OIDC = {"oidc_issuer": "https://issuer.example", "oidc_client_id": "client-1"}


def test_by_default_there_is_none() -> None:
    assert identity_providers(Settings()) == ()


def test_github_is_there_with_its_two_words() -> None:
    assert identity_providers(Settings(**GITHUB)) == (GitHub("id-1", "secret-1"),)


def test_organizations_are_asked_for_where_they_decide() -> None:
    settings = Settings(**GITHUB, github_url="https://git.example", allowed_orgs=("acme",))
    expected = GitHub("id-1", "secret-1", "https://git.example", want_orgs=True)
    assert identity_providers(settings) == (expected,)
    assert expected.name == "GitHub Enterprise"


def test_both_may_be_there_and_a_public_client_has_no_secret() -> None:
    settings = Settings(**GITHUB, **OIDC, oidc_name="Example")
    found = identity_providers(settings)
    assert [(each.id, each.name) for each in found] == [("github", "GitHub"), ("oidc", "Example")]
    assert found[1] == OpenIdConnect("https://issuer.example", "client-1", "", name="Example")


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"github_client_id": "id-1"}, "GITHUB_CLIENT_SECRET"),
        ({"github_client_secret": "secret-1"}, "GITHUB_CLIENT_ID"),
        ({"oidc_issuer": "https://issuer.example"}, "OPENBOLT_OIDC_CLIENT_ID"),
        ({"oidc_client_id": "client-1"}, "OPENBOLT_OIDC_ISSUER"),
    ],
)
def test_half_a_configuration_says_what_is_missing(given: dict[str, str], missing: str) -> None:
    with pytest.raises(ConfigurationError, match=missing):
        identity_providers(Settings(**given))

"""The error tree: as drawn, as contracted, and complete."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

import openbolt
from openbolt import errors
from openbolt.errors import (
    ConfigurationError,
    InvalidRequestError,
    MethodNotAllowedError,
    OpenBoltError,
    RateLimitedError,
    UnauthenticatedError,
    UpstreamError,
    UpstreamRateLimitedError,
)

STATUSES = {
    "OpenBoltError": 500,
    "InvalidRequestError": 400,
    "PayloadTooLargeError": 413,
    "UnsupportedMediaTypeError": 415,
    "MethodNotAllowedError": 405,
    "UnauthenticatedError": 401,
    "ForbiddenError": 403,
    "StateMismatchError": 403,
    "CrossOriginError": 403,
    "NotFoundError": 404,
    "ConflictError": 409,
    "PreconditionFailedError": 412,
    "LockedError": 423,
    "BudgetExceededError": 402,
    "RateLimitedError": 429,
    "UpstreamError": 502,
    "UpstreamOverloadedError": 503,
    "UpstreamRateLimitedError": 429,
    "UpstreamTimeoutError": 504,
    "OwnKeyRefusedError": 400,
    "BackendError": 503,
    "NotSupportedError": 501,
    "ConfigurationError": 500,
}
CLASSES: dict[str, type[OpenBoltError]] = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, OpenBoltError)
}


def drawn() -> tuple[dict[str, str], dict[str, int]]:
    """Parents and statuses as the module's docstring draws them."""
    parents: dict[str, str] = {}
    statuses: dict[str, int] = {}
    above: list[tuple[int, str]] = []
    lines = (inspect.getdoc(errors) or "").partition("::\n")[2].partition("\nLaw:")[0].splitlines()
    for line in lines:
        indent = len(line) - len(line.lstrip())
        above = [entry for entry in above if entry[0] < indent]
        entries = re.findall(r"(\w+Error)(?: (\d{3}))?", line)
        for name, status in entries:
            parents[name] = above[-1][1] if above else "Exception"
            if status:
                statuses[name] = int(status)
        if entries:
            above.append((indent, entries[-1][0]))
    return parents, statuses


def test_the_tree_is_as_drawn() -> None:
    actual = {name: cls.__bases__[0].__name__ for name, cls in CLASSES.items()}
    assert actual == drawn()[0]
    assert all(len(cls.__bases__) == 1 for cls in CLASSES.values())


def test_the_drawn_statuses_are_the_contracted_ones() -> None:
    statuses = drawn()[1]
    assert statuses == {name: STATUSES[name] for name in statuses}
    assert set(STATUSES) - set(statuses) == {
        "OpenBoltError",
        "StateMismatchError",
        "CrossOriginError",
    }


def test_every_error_becomes_its_contracted_status() -> None:
    assert {name: cls.status_hint for name, cls in CLASSES.items()} == STATUSES


def test_all_errors_are_exported_and_nothing_else_is() -> None:
    assert errors.__all__ == sorted(CLASSES)


def test_every_error_has_a_code_of_its_own() -> None:
    codes = {name: cls.code for name, cls in CLASSES.items()}
    assert len(set(codes.values())) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes.values())


def test_the_root_is_a_public_name() -> None:
    assert openbolt.OpenBoltError is OpenBoltError


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_is_made_from_one_sentence_for_the_caller(name: str) -> None:
    error = CLASSES[name]("No.")
    assert (error.public_message, str(error), error.args) == ("No.", "No.", ("No.",))
    assert (error.detail, error.code) == (None, CLASSES[name].code)


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_can_be_copied_and_pickled(name: str) -> None:
    error = CLASSES[name]("No.")
    error.detail = "because"
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(other) is type(error)
        assert vars(other) == vars(error)
        assert str(other) == "No. (because)"


def test_a_detail_is_for_logs_and_not_for_the_caller() -> None:
    error = OpenBoltError("No.", detail="/etc/passwd")
    assert (error.public_message, error.detail) == ("No.", "/etc/passwd")
    assert str(error) == "No. (/etc/passwd)"


def test_a_code_of_one_error_is_not_the_class_s() -> None:
    error = OpenBoltError("No.", code="special")
    assert (error.code, OpenBoltError.code) == ("special", "internal")


def test_what_is_known_beyond_the_sentence_travels_along() -> None:
    assert InvalidRequestError("No.", field="a[0].b").field == "a[0].b"
    assert MethodNotAllowedError("No.", allowed=("GET",)).allowed == ("GET",)
    assert UnauthenticatedError("No.", challenge="Basic").challenge == "Basic"
    assert RateLimitedError("No.", retry_after=1.5).retry_after == 1.5
    assert ConfigurationError("No.", setting="kv").setting == "kv"
    upstream = UpstreamError("No.", status=401, retryable=True, detail="key")
    assert (upstream.status, upstream.retryable, upstream.detail) == (401, True, "key")
    limited = UpstreamRateLimitedError("No.", retry_after=2)
    assert (limited.status, limited.retryable, limited.retry_after) == (429, True, 2)


def test_an_upstream_s_own_401_is_not_the_caller_s_fault() -> None:
    assert UpstreamError("No.", status=401).status_hint == 502

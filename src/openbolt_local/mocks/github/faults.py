"""What goes wrong when a test asks for it.

The law: a fault says whether GitHub has done what was asked: with ``lost``, ``malformed`` and
``slow`` it has; with the others nothing has happened there.
"""

from __future__ import annotations

from typing import Literal, get_args

from attrs import Attribute, define, field

from openbolt_local.mocks.github.answers import HTML, Answer, json_answer

FaultName = Literal[
    "html", "lost", "malformed", "reset", "secondary-limit", "slow", "stall", "too-large"
]

_NAMES = frozenset(get_args(FaultName))
_SECONDARY = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api"


def _kind(_: object, attribute: Attribute[FaultName | int], value: FaultName | int) -> None:
    known = 400 <= value <= 599 if isinstance(value, int) else value in _NAMES
    if not known:
        raise ValueError(
            f"{attribute.name}: {value!r} is neither a status from 400 to 599 nor one of "
            f"{', '.join(sorted(_NAMES))}"
        )


@define
class GitHubFault:
    """One thing that goes wrong.

    Attributes:
        kind: A status, or a name: ``html`` (a page with status 200), ``lost`` (done, but the
            connection breaks before the answer), ``malformed`` (half of the body), ``reset``
            (nothing done, connection reset), ``secondary-limit`` (403 and ``retry-after``),
            ``slow`` (after ``delay`` seconds), ``stall`` (no answer ever), ``too-large`` (a body
            of ``size`` bytes).
        path: The request's path; one that ends in ``/`` stands for all below it.
        times: How many requests it meets; None for all.
    """

    kind: FaultName | int = field(validator=_kind)
    path: str = "/"
    times: int | None = 1
    delay: float = 0.2
    size: int = 2 * 1024 * 1024

    def meets(self, path: str) -> bool:
        """Whether it is for this path, and not used up."""
        if self.times == 0:
            return False
        return path.startswith(self.path) if self.path.endswith("/") else path == self.path

    def use(self) -> None:
        """Count one request that it met."""
        if self.times is not None:
            self.times -= 1

    @property
    def lets_it_happen(self) -> bool:
        """Whether the request is carried out."""
        return self.kind in {"lost", "malformed", "slow"}


def faulty(fault: GitHubFault) -> Answer:
    """The answer in place of the real one."""
    match fault.kind:
        case "html":
            return Answer(200, {"content-type": HTML}, b"<!doctype html><title>Unicorn!</title>")
        case "too-large":
            return json_answer(200, {"login": "x" * fault.size})
        case "secondary-limit":
            said = {
                "message": (
                    "You have exceeded a secondary rate limit. Please wait a few minutes before "
                    "you try again."
                ),
                "documentation_url": f"{_SECONDARY}#about-secondary-rate-limits",
                "status": "403",
            }
            return json_answer(403, said, {"retry-after": "60"})
        case status:
            assert isinstance(status, int)
            return json_answer(status, {"message": "Server Error"})

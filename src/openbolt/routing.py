"""Method and path to handler.

Law: a fixed segment wins over a parameter and a parameter over the rest of the path, whatever the
order of the routes; and no request is refused for its method while any route would take it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from attrs import Factory, field, frozen

from openbolt.errors import MethodNotAllowedError, NotFoundError
from openbolt.http import Answering, Handler, Headers, Request, Response

__all__ = ["ANY", "Route", "Router"]

ANY = "ANY"

_NO_VALUES: Mapping[str, str] = MappingProxyType({})
_METHOD = re.compile(r"[A-Z]+")
_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_REST = re.compile(r"\{([a-z][a-z0-9_]*):path\}")


@frozen
class Route:
    """One method on one path template.

    Attributes:
        method: Upper case, or `ANY`, which takes every method, ``OPTIONS`` too.
        template: ``/api/chat/{id}/stream``: a ``{name}`` is one whole segment, and a last segment
            ``{name:path}`` is the rest of the path, slashes included. Both are never empty. Values
            are percent-decoded and otherwise as the client sent them: ``..`` is not resolved.
        handler: Finds the values in ``request.path_params``.
    """

    method: str
    template: str
    handler: Handler

    def __attrs_post_init__(self) -> None:
        if not _METHOD.fullmatch(self.method):
            raise ValueError(f"A method is written in capitals, not {self.method!r}.")


class _Node:
    """What may follow the segments so far; names of parameters are kept with the routes."""

    __slots__ = ("fixed", "here", "parameter", "rest")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.here: _Methods = {}
        self.rest: _Methods = {}

    def child(self, segment: str) -> _Node:
        if _PARAMETER.fullmatch(segment):
            self.parameter = self.parameter or _Node()
            return self.parameter
        return self.fixed.setdefault(segment, _Node())


@frozen
class _Leaf:
    handler: Handler
    names: tuple[str, ...]


_Methods = dict[str, _Leaf]
_Match = tuple[_Methods, tuple[str, ...]]


@frozen
class _Table:
    """Routes, compiled: whole paths without parameters, and a tree for all."""

    fixed: dict[str, _Methods]
    root: _Node
    depth: int

    @classmethod
    def of(cls, routes: Iterable[Route]) -> _Table:
        table: dict[str, _Methods] = {}
        root, depth = _Node(), 1
        for route in routes:
            segments = _segments(route.template)
            names = _names(route.template, segments)
            depth = max(depth, len(segments))
            node = root
            rest = _REST.fullmatch(segments[-1]) is not None
            for segment in segments[:-1] if rest else segments:
                node = node.child(segment)
            methods = node.rest if rest else node.here
            if route.method in methods:
                raise ValueError(f"Two routes for {route.method} {route.template}.")
            methods[route.method] = _Leaf(route.handler, names)
            if not names:
                table[route.template] = methods
        return cls(table, root, depth)

    def matches(self, path: str) -> Iterator[_Match]:
        """What could answer for a path, the most specific first."""
        if not path.startswith("/"):  # ``*``, or a target in absolute form
            return
        fixed = self.fixed.get(path)
        if fixed is not None:
            yield fixed, ()
        # The limit keeps a path of ten thousand slashes cheap; its tail stays whole, for the rest.
        segments = path.split("/", self.depth + 1)[1:]
        for methods, values in _walk(self.root, segments, 0, ()):
            if methods is not fixed:
                yield methods, values


def _walk(node: _Node, segments: list[str], at: int, values: tuple[str, ...]) -> Iterator[_Match]:
    if at == len(segments):
        if node.here:
            yield node.here, values
        return
    segment = segments[at]
    child = node.fixed.get(segment)
    if child is not None:
        yield from _walk(child, segments, at + 1, values)
    if segment and node.parameter is not None:
        yield from _walk(node.parameter, segments, at + 1, (*values, segment))
    if node.rest:
        rest = "/".join(segments[at:])
        if rest:
            yield node.rest, (*values, rest)


def _segments(template: str) -> list[str]:
    if not template.startswith("/"):
        raise ValueError(f"A template starts with a slash: {template!r}.")
    return template.split("/")[1:]


def _names(template: str, segments: list[str]) -> tuple[str, ...]:
    names: list[str] = []
    for at, segment in enumerate(segments):
        found = _PARAMETER.fullmatch(segment) or _REST.fullmatch(segment)
        if found is None and ("{" in segment or "}" in segment):
            raise ValueError(f"A parameter is a whole segment, as {{name}}: {template!r}.")
        if _REST.fullmatch(segment) and at != len(segments) - 1:
            raise ValueError(f"Nothing can follow {segment} in {template!r}.")
        if found is not None:
            names.append(found[1])
    if len(set(names)) != len(names):
        raise ValueError(f"A parameter stands twice in {template!r}.")
    return tuple(names)


def _leaf(methods: _Methods, method: str) -> _Leaf | None:
    found = methods.get(method)
    if found is None and method == "HEAD":
        found = methods.get("GET")
    return found or methods.get(ANY)


def _allowed(methods: Iterable[str]) -> tuple[str, ...]:
    named = {*methods, "OPTIONS"}
    if "GET" in named:
        named.add("HEAD")
    return tuple(sorted(named))


def _compile(router: Router) -> _Table:
    return _Table.of(router.routes)


@frozen
class Router:
    """A handler that hands each request to the route it matches.

    ``HEAD`` goes to the route for ``GET`` where there is none for ``HEAD``; the request still says
    ``HEAD``, and whoever sends the response drops its body. ``OPTIONS`` is answered with 204 and
    ``Allow`` where no route takes it. A path is matched whole: ``/a`` and ``/a/`` differ, and
    nothing redirects.

    Raises:
        ValueError: When made: a template is malformed, or two routes are the same.
        NotFoundError: When called: no route has this path.
        MethodNotAllowedError: When called: the path has routes, but none for this method.
    """

    routes: tuple[Route, ...] = field(converter=tuple[Route, ...])
    _table: _Table = field(
        init=False, repr=False, eq=False, default=Factory(_compile, takes_self=True)
    )

    def __call__(self, request: Request, /) -> Answering:
        """Answer by the matching route."""
        handler, values = self.find(request.method, request.path)
        return handler(request.with_path_params(values) if values else request)

    def find(self, method: str, path: str, /) -> tuple[Handler, Mapping[str, str]]:
        """The handler for a method and a path, and the values of the parameters in the path.

        Raises:
            NotFoundError: As when called.
            MethodNotAllowedError: As when called.
        """
        table = self._table
        fixed = table.fixed.get(path)
        if fixed is not None and (leaf := _leaf(fixed, method)) is not None:
            return leaf.handler, _NO_VALUES  # the most specific, so nothing is searched
        methods: list[str] = []
        for candidates, values in table.matches(path):
            leaf = _leaf(candidates, method)
            if leaf is not None:
                return leaf.handler, dict(zip(leaf.names, values, strict=True))
            methods.extend(candidates)
        if not methods:
            raise NotFoundError("There is nothing at this address.")
        allowed = _allowed(methods)
        if method == "OPTIONS":
            return _Options(allowed), _NO_VALUES
        raise MethodNotAllowedError(f"This address takes {', '.join(allowed)}.", allowed=allowed)


@frozen
class _Options:
    allowed: tuple[str, ...]

    async def __call__(self, request: Request, /) -> Response:  # noqa: ARG002
        return Response(204, Headers.of({"allow": ", ".join(self.allowed)}))

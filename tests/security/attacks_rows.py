"""What a row of the table of attacks is made of."""

from __future__ import annotations

from attrs import frozen

__all__ = ["Attack", "Edit", "Layer", "Open"]


@frozen
class Edit:
    """Text of a source file that stands there once, and what comes in its place.

    Attributes:
        file: Below ``src/``.
    """

    file: str
    old: str
    new: str = ""


@frozen
class Attack:
    """Something that an attacker does, and what it comes to.

    Attributes:
        does: Said of the attacker.
        defence: What stops it.
        where: Modules that hold the defence, below ``src/openbolt/``.
        test: Whose failure means that it is stopped no more.
        without: Edits that take the defence out, all of them together; none where the defence is
            that something isn't there, or is somebody else's (a browser, GitHub).
    """

    does: str
    defence: str
    where: tuple[str, ...]
    test: str
    without: tuple[Edit, ...] = ()


@frozen
class Layer:
    """Attacks on one thing.

    Attributes:
        intro: What holds for all of them.
    """

    title: str
    intro: str
    attacks: tuple[Attack, ...]


@frozen
class Open:
    """What is not defended against, and what to do about it."""

    does: str
    instead: str
    test: str = ""

"""Two ways to a model: one for users without a key of their own, one for those with one.

Law: a user's key goes to the real provider and never to the stand-in that answers without keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from attrs import frozen

from openbolt.model import ModelEvent, ModelRequest
from openbolt.protocols import ModelProvider

__all__ = ["OwnKeyProvider"]


@frozen
class OwnKeyProvider:
    """A `ModelProvider` that chooses between two by whose key a request is on.

    Attributes:
        default: Answers requests without a key of their own.
        own: Answers those with one, and is never asked without.
    """

    default: ModelProvider
    own: ModelProvider

    def stream(
        self, request: ModelRequest, /
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[ModelEvent]]]:
        """One call; see `ModelProvider.stream`."""
        provider = self.default if request.api_key is None else self.own
        return provider.stream(request)

"""Count tokens the same way every time, so that a test can say what a call costs.

The law: a token is four bytes of UTF-8, rounded up; the same text always costs the same. Prompt
caching follows the published rules (prefixes, at most four breakpoints, a least length).
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openbolt_local.mocks.call import Call

BYTES_PER_TOKEN = 4
MINIMUM_CACHEABLE_TOKENS = 1024
"""Shorter prefixes are not cached, as with most current models."""

_REMEMBERED_PREFIXES = 4096


def count_tokens(text: str) -> int:
    """Tokens in `text`: its UTF-8 bytes divided by four, rounded up."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def cut_to_tokens(text: str, limit: int) -> str:
    """The longest prefix of `text` of at most `limit` tokens, never half a character."""
    data = text.encode()
    if len(data) <= limit * BYTES_PER_TOKEN:
        return text
    return data[: limit * BYTES_PER_TOKEN].decode(errors="ignore")


@frozen
class InputUsage:
    """What a request costs to read, in tokens; the three parts never overlap."""

    input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0


@frozen
class _Prefix:
    digest: str
    tokens: int
    marked: bool


@define
class PromptCache:
    """Prefixes seen before, per mock. Nothing expires while the mock runs."""

    _known: OrderedDict[str, None] = field(factory=OrderedDict[str, None], init=False)

    def account(self, call: Call) -> InputUsage:
        """Split the input of `call` into fresh, written and read tokens, and remember it."""
        prefixes = list(_prefixes(call))
        total = prefixes[-1].tokens if prefixes else 0
        marks = [index for index, prefix in enumerate(prefixes) if prefix.marked]
        if not marks or prefixes[marks[-1]].tokens < MINIMUM_CACHEABLE_TOKENS:
            return InputUsage(total)
        cacheable = prefixes[: marks[-1] + 1]
        read = max(
            (prefix.tokens for prefix in cacheable if prefix.digest in self._known), default=0
        )
        for prefix in cacheable:
            if prefix.marked and prefix.tokens >= MINIMUM_CACHEABLE_TOKENS:
                self._known[prefix.digest] = None
                self._known.move_to_end(prefix.digest)
        while len(self._known) > _REMEMBERED_PREFIXES:
            self._known.popitem(last=False)
        return InputUsage(total - cacheable[-1].tokens, cacheable[-1].tokens - read, read)


def _prefixes(call: Call) -> Iterator[_Prefix]:
    """Every prefix of the prompt that ends at a block: tools, then system, then messages."""
    digest = hashlib.sha256(call.model.encode())
    tokens = 0
    parts = [(json.dumps(tool, sort_keys=True), "cache_control" in tool) for tool in call.tools]
    parts += [(block.text, block.marked) for block in call.system]
    for message in call.messages:
        parts += [(f"{message.role}\0{block.body}", block.marked) for block in message.blocks]
    for index, (text, marked) in enumerate(parts):
        digest.update(f"{len(text)}:{text}".encode())
        tokens += count_tokens(text)
        last = index == len(parts) - 1
        yield _Prefix(digest.hexdigest(), tokens, marked or (call.cached_whole and last))


def count_input(call: Call) -> int:
    """All input tokens of `call`, whether cached or not."""
    return max((prefix.tokens for prefix in _prefixes(call)), default=0)

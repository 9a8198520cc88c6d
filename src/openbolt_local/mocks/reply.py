"""Plan one answer completely before its first byte: what is said, in which pieces, why it ends.

The law: the text that is emitted, the stop reason and the token counts always agree; only a Reply
that fixes them by hand can make them lie.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, field, frozen

from openbolt_local.mocks.call import Call
from openbolt_local.mocks.faults import STOP_REASONS, Directive
from openbolt_local.mocks.signatures import sign
from openbolt_local.mocks.tokens import InputUsage, count_tokens, cut_to_tokens


def _strings(value: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


@frozen
class Reply:
    """A scripted answer.

    With `stop_reason` None the mock decides, and cuts at max_tokens and stop sequences; with a
    stop reason the text is emitted whole, whatever was asked for.
    """

    text: str = ""
    chunks: tuple[str, ...] | None = field(default=None, converter=_strings)
    """The exact deltas; their sum replaces `text`."""
    thinking: str | None = None
    """Emitted as a thinking block in front; None leaves it to the request."""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    input_usage: InputUsage | None = None
    output_tokens: int | None = None
    """Reported instead of what was counted."""
    fault: str | None = None
    """The words of a directive, for example "reset after=5"."""

    @property
    def whole(self) -> str:
        """All of the text, before any cut."""
        return self.text if self.chunks is None else "".join(self.chunks)


@frozen
class Emission:
    """One answer as it will be sent, faults of the transport aside."""

    id: str
    model: str
    thinking: tuple[str, ...] | None
    signature: str
    chunks: tuple[str, ...]
    stop_reason: str
    stop_sequence: str | None
    input_usage: InputUsage
    output_tokens: int

    @property
    def text(self) -> str:
        """The text that the client ends up with."""
        return "".join(self.chunks)


def slices(text: str, size: int) -> tuple[str, ...]:
    """`text` in pieces of `size` characters, the last one shorter."""
    return tuple(text[start : start + size] for start in range(0, len(text), size))


def plan_emission(
    *,
    message_id: str,
    call: Call,
    reply: Reply,
    directive: Directive,
    input_usage: InputUsage,
    thinking: str | None,
    delta_size: int,
) -> Emission:
    """Cut `reply` to the limits of `call`, then to what `directive` asks for."""
    size = directive.delta or delta_size
    limit = call.max_tokens
    if directive.max_tokens:
        limit = min(limit, directive.max_tokens)
    if thinking is not None and reply.stop_reason is None:
        # Thinking counts towards max_tokens; half of them stay for the answer.
        thinking = cut_to_tokens(thinking, max(1, limit // 2))
        limit -= count_tokens(thinking) if limit > 1 else 0
    chunks, stop_reason, stop_sequence = _fit(reply, call, limit, size)
    fault = directive.fault
    if fault == "empty":
        chunks, stop_reason, stop_sequence = (), "end_turn", None
    elif fault is not None and fault in STOP_REASONS:
        chunks, stop_reason = chunks[: directive.after], STOP_REASONS[fault]
        stop_sequence = _hit(call) if fault == "stop_sequence" else None
    elif fault == "giant":
        at = min(directive.after, len(chunks))
        chunks = (*chunks[:at], "x" * directive.size, *chunks[at:])
    shown = thinking if call.shows_thinking or thinking is None else ""
    emission = Emission(
        id=message_id,
        model=call.model,
        thinking=None if shown is None else slices(shown, size),
        signature="" if shown is None else sign(shown),
        chunks=chunks,
        stop_reason=stop_reason,
        stop_sequence=stop_sequence,
        input_usage=reply.input_usage or input_usage,
        output_tokens=0,
    )
    counted = count_tokens(thinking or "") + count_tokens(emission.text)
    # The service never reports nothing, not even for an empty answer.
    output = reply.output_tokens if reply.output_tokens is not None else counted or 2
    return evolve(emission, output_tokens=output)


def _hit(call: Call) -> str:
    return call.stop_sequences[0] if call.stop_sequences else "</stop>"


def _fit(
    reply: Reply, call: Call, limit: int, size: int
) -> tuple[tuple[str, ...], str, str | None]:
    """The deltas that fit, why they end, and the stop sequence that ended them."""
    chunks = reply.chunks if reply.chunks is not None else slices(reply.text, size)
    if reply.stop_reason is not None:
        return chunks, reply.stop_reason, reply.stop_sequence
    text = "".join(chunks)
    found = [(text.find(stop), stop) for stop in call.stop_sequences if stop in text]
    position, stop = min(found, default=(len(text), None))
    kept = cut_to_tokens(text[:position], limit)
    if len(kept) < position:
        return _shorten(chunks, len(kept)), "max_tokens", None
    return _shorten(chunks, position), "end_turn" if stop is None else "stop_sequence", stop


def _shorten(chunks: tuple[str, ...], length: int) -> tuple[str, ...]:
    kept: list[str] = []
    for chunk in chunks:
        if length <= 0:
            break
        kept.append(chunk[:length])
        length -= len(chunk)
    return tuple(kept)

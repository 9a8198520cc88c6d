"""CPU time of reading one streamed text delta, without any I/O.

Run ``python -m benchmarks.sse``. Deltas of 18 characters in the API's own frames, in reads of one
frame, 4 KB and 64 KB. For orientation: each frame's JSON parsed whole with orjson, where installed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from openbolt.providers._messages_api import ReplyDecoder

DELTAS = 20_000
TEXTS = [f"answer = {index % 1000:03}; //\n" for index in range(DELTAS)]
QUOTED = [f'x = "{index % 1000:03}"; // y\n' for index in range(DELTAS)]


def frame(text: str, *, compact: bool = True) -> bytes:
    event = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": text},
    }
    separators = (",", ":") if compact else (", ", ": ")
    data = json.dumps(event, ensure_ascii=False, separators=separators)
    return f"event: content_block_delta\ndata: {data}\n\n".encode()


def reads(frames: list[bytes], size: int) -> list[bytes]:
    if size == 0:
        return frames
    whole = b"".join(frames)
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def ours(quick: bool) -> Callable[[list[bytes]], None]:
    def run(chunks: list[bytes]) -> None:
        decoder = ReplyDecoder(quick=quick)
        for chunk in chunks:
            decoder.feed(chunk)

    return run


def with_orjson() -> Callable[[list[bytes]], None] | None:
    try:
        import orjson
    except ImportError:
        return None

    def run(chunks: list[bytes]) -> None:
        rest = b""
        for chunk in chunks:
            rest += chunk
            end = rest.rfind(b"\n\n")
            if end < 0:
                continue
            block, rest = rest[:end], rest[end + 2 :]
            texts: list[str] = []
            for part in block.split(b"\n\n"):
                event = orjson.loads(part[part.index(b"data: ") + 6 :])
                if event["type"] == "content_block_delta":
                    texts.append(event["delta"]["text"])
            "".join(texts)

    return run


def best(run: Callable[[list[bytes]], None], chunks: list[bytes]) -> float:
    times: list[float] = []
    for _ in range(5):
        start = time.process_time()
        run(chunks)
        times.append(time.process_time() - start)
    return min(times) / DELTAS * 1e6


def main() -> None:
    runs = {"openbolt": ours(True), "openbolt, the long way": ours(False)}
    if (orjson := with_orjson()) is not None:
        runs["orjson, every frame whole"] = orjson
    print("microseconds per delta of 18 characters")
    for name, texts in {"plain": TEXTS, "quotes": QUOTED}.items():
        frames = [frame(text) for text in texts]
        for label, size in {"one frame": 0, "4 KB": 4096, "64 KB": 65536}.items():
            chunks = reads(frames, size)
            figures = ", ".join(f"{what} {best(run, chunks):.2f}" for what, run in runs.items())
            print(f"{name:7} {label:10} {figures}")


if __name__ == "__main__":
    main()

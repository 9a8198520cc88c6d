// Why it exists: the reply comes as server-sent events over a POST, which EventSource cannot send.
// Law: any chunking of the same bytes gives the same frames; a stream that ends without [DONE]
// is an error (StreamCutError), never a short reply.

/** Server-sent events as the HTML standard parses them (CR, LF or CRLF; `id` sticks; data lines joined). */
export class SseParser {
  #rest = "";
  #sawReturn = false;
  #started = false;
  #data = [];
  #event = "";
  #id = "";

  /** Take some decoded text, give the events that are complete now: `{data, event, id}`. */
  feed(text) {
    if (!this.#started && text !== "") {
      this.#started = true;
      if (text.startsWith("\uFEFF")) text = text.slice(1);
    }
    // A CR that ended the last chunk already ended its line; the LF of a CRLF is then no second line end.
    if (this.#sawReturn && text !== "") {
      this.#sawReturn = false;
      if (text.startsWith("\n")) text = text.slice(1);
    }
    const events = [];
    let from = 0;
    for (const end of text.matchAll(/\r\n|\n|\r/g)) {
      this.#line(this.#rest + text.slice(from, end.index), events);
      this.#rest = "";
      from = end.index + end[0].length;
    }
    this.#rest += text.slice(from);
    if (text.endsWith("\r")) this.#sawReturn = true;
    return events;
  }

  #line(line, events) {
    if (line === "") {
      if (this.#data.length > 0) {
        events.push({ data: this.#data.join("\n"), event: this.#event || "message", id: this.#id });
      }
      this.#data = [];
      this.#event = "";
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment, as keep-alives are
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
  }
}

export class StreamCutError extends Error {
  name = "StreamCutError";
}

/**
 * The frames of a UI message stream v1, as `{frame, id}`, until `[DONE]`.
 * Takes any async iterable of byte chunks. Throws StreamCutError when it ends early or holds no JSON.
 */
export async function* readFrames(chunks) {
  const decoder = new TextDecoder();
  const parser = new SseParser();
  for await (const chunk of chunks) {
    for (const { data, id } of parser.feed(decoder.decode(chunk, { stream: true }))) {
      if (data === "[DONE]") return;
      yield { frame: parseFrame(data), id };
    }
  }
  throw new StreamCutError("The reply broke off before its end.");
}

function parseFrame(data) {
  try {
    return JSON.parse(data);
  } catch (error) {
    throw new StreamCutError("A frame of the reply is not JSON.", { cause: error });
  }
}

/** A response's body as an async iterable: not every browser's ReadableStream is one. Cancels when left early. */
export async function* chunksOf(response) {
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

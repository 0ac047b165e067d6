// Server-sent events over fetch: unlike EventSource it can show a token.

/** Longest pause between two tries, in milliseconds. */
const PAUSE_MAX = 10_000;

/**
 * Silence after which a stream is given up, in milliseconds. The node looks and speaks each second: more than twice that, so
 * that one late look is no silence. Its comments that keep a stream open come only where a look hangs.
 */
const SILENCE = 6_000;

/** Takes the text of a stream apart, however it is cut: gives the events that are whole. */
export class Reader {
  #rest = "";
  #kind = "message";
  #lines = [];

  take(text) {
    const events = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (this.#lines.length > 0) events.push({ kind: this.#kind, data: this.#lines.join("\n") });
        this.#kind = "message";
        this.#lines = [];
        continue;
      }
      const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
      if (field === "event") this.#kind = value;
      if (field === "data") this.#lines.push(value ?? "");
    }
    return events;
  }
}

async function readAll(response, hear) {
  const [reader, text, events] = [response.body.getReader(), new TextDecoder(), new Reader()];
  for (;;) {
    let timer;
    const silence = new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error("the node has gone silent")), SILENCE);
    });
    const { done, value } = await Promise.race([reader.read(), silence]).finally(() => clearTimeout(timer));
    if (done) throw new Error("the node closed the stream");
    events.take(text.decode(value, { stream: true })).forEach(({ kind, data }) => hear(kind, JSON.parse(data)));
  }
}

/**
 * Reads a stream for ever: opens it again after a pause that grows. `open` gives a response, `begin` is called for each new
 * stream, `hear` for each event, `lost` with the reason when a stream ends.
 */
export async function follow({ open, begin, hear, lost }) {
  for (let tries = 0; ; tries += 1) {
    const until = new AbortController();
    try {
      const response = await open(until.signal);
      begin();
      tries = 0;
      await readAll(response, hear);
    } catch (error) {
      lost(error);
    }
    until.abort();
    await new Promise((done) => setTimeout(done, Math.min(PAUSE_MAX, 500 * 2 ** Math.min(tries, 6))));
  }
}

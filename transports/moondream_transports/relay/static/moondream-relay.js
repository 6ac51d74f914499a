/**
 * Read the answers of a relay of sansio-moondream. docs/how-to/browser.md is the guide.
 *
 * 1. Only `completed` ends an answer. An error record or an error response is a `MoondreamError`.
 * 2. A body that ends before that was cut, and an error record without an id is about this reader
 *    alone. We send a GET again with `Last-Event-ID`, and check the ids: no value is lost or
 *    doubled. We send a POST again only if the server refused it, and says when.
 * 3. If the signal aborts, or the loop is left, the connection closes at once.
 * @import { ErrorFields, Options } from "./moondream-relay.js"
 * @typedef {Awaited<ReturnType<typeof connect>>} Connection
 */
export class MoondreamError extends Error {
  /** @param {string} kind @param {string} message @param {ErrorFields} [fields] */
  constructor(kind, message, fields) {
    super(message, { cause: fields?.cause });
    this.name = "MoondreamError";
    this.kind = kind;
    this.retryable = fields?.retryable ?? false;
    this.partial = fields?.partial ?? null;
    this.status = fields?.status_code ?? null;
    this.retryAfter = fields?.retry_after ?? null;
  }
}

/** @param {string | URL} url @param {unknown} request @param {Options} options */
export async function ask(url, request, options = {}) {
  const headers = new Headers(options.headers);
  headers.set("content-type", "application/json");
  const post = { ...options, method: "POST", headers, body: JSON.stringify(request) };
  const connection = await retry(post, () => connect(url, post));
  const { response } = connection;
  if (response.status !== 201) return follow("", { ...post, maxAttempts: 1 }, connection);
  return follow(new URL((await response.json()).url, response.url), options);
}

/** @param {string | URL} url @param {Options} init @param {Connection} [connection] of a POST */
export function follow(url, init = {}, connection = undefined) {
  let text = "";
  return {
    url: String(url),
    lastEventId: init.lastEventId ?? "",
    async *[Symbol.asyncIterator]() {
      try {
        for (let value; value?.kind !== "completed"; ) {
          const record = await retry(init, async (attempt) => {
            if (!connection || attempt > 1) connection = await connect(url, init, this.lastEventId);
            return (await connection.records.next()).value;
          });
          if (!record) return; // status 204: nothing comes after `lastEventId`
          value = record.value;
          if ("retryable" in value) throw new MoondreamError(value.kind, value.message, value);
          if (!value.kind || Number(record.id) !== Number(this.lastEventId) + 1) {
            throw unexpected(`the value after ${this.lastEventId || 0}`, record.id + record.data);
          }
          this.lastEventId = record.id;
          if (value.kind === "text_delta") text += value.text;
          yield value;
        }
      } catch (error) {
        if (error instanceof MoondreamError) error.partial ??= { kind: "arrived", text };
        throw error;
      } finally {
        connection?.records.return();
      }
    },
  };
}

/** @param {string | URL} url @param {Options} init */
async function connect(url, init, lastEventId = "") {
  const headers = new Headers(init.headers);
  if (lastEventId) headers.set("last-event-id", lastEventId);
  const response = await (init.fetch ?? fetch)(url, { ...init, headers });
  if (!response.ok) throw refusal(response, parse(await response.text()));
  return { response, records: records(response, init.idleTimeout) };
}

/** Split a body into records, by the rules of the HTML standard. @param {Response} response */
async function* records({ status, headers, body }, idleTimeout = 60) {
  if (status === 204) return;
  const type = headers.get("content-type") ?? "nothing";
  if (!body || !type.startsWith("text/event-stream")) throw unexpected("an event stream", type);
  const [reader, decoder] = [body.getReader(), new TextDecoder()]; // drops a byte order mark
  const close = () => reader.cancel().catch(() => {}); // then `read` returns
  let [rest, afterCR, id, data] = ["", false, "", ""];
  try {
    for (;;) {
      const timer = setTimeout(close, 1000 * idleTimeout);
      const read = await reader.read().finally(() => clearTimeout(timer));
      if (read.done) throw new Error("the answer is not complete");
      const text = decoder.decode(read.value, { stream: true });
      const lines = (afterCR ? text.replace(/^\n/, "") : text).split(/\r\n|\r|\n/);
      if (text) afterCR = text.endsWith("\r");
      lines[0] = rest + lines[0];
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const [, field, content = ""] = line.match(/^(\w*)(?:: ?(.*))?$/s) ?? [];
        if (field === "id") id = content;
        if (field === "data") data += `${content}\n`;
        if (line !== "") continue;
        const value = parse(data);
        if (!id && "retryable" in value) throw new MoondreamError(value.kind, value.message, value);
        if (data) yield { id, data, value };
        [id, data] = ["", ""];
      }
    }
  } finally {
    close();
  }
}

/** @template T @param {RequestInit & Options} init @param {(attempt: number) => Promise<T>} call */
async function retry({ method, signal, maxAttempts = 6, onRetry }, call) {
  for (let attempt = 1; ; attempt++) {
    try {
      signal?.throwIfAborted();
      return await call(attempt);
    } catch (cause) {
      signal?.throwIfAborted();
      const error = cause instanceof MoondreamError ? cause : new MoondreamError("connection_lost",
        `the connection was lost: ${cause}`, { retryable: method !== "POST", cause });
      const backoff = Math.min(30, 2 ** attempt / 2) * (1 - Math.random() / 2);
      const delay = error.retryAfter ?? (method === "POST" ? Infinity : backoff);
      if (!error.retryable || attempt >= maxAttempts || delay > 60) throw error;
      onRetry?.({ error, attempt, delay });
      await new Promise((resolve) => {
        setTimeout(resolve, 1000 * delay);
        signal?.addEventListener("abort", resolve);
      });
    }
  }
}

/** @param {Response} response @param {any} body */
function refusal({ status, statusText, headers }, body) {
  const said = body.message ?? body.error?.message ?? body.error ?? statusText;
  return new MoondreamError(body.kind ?? "api_error", `${said} (status ${status})`, {
    retryable: status === 429 || (status >= 500 && status !== 504),
    status_code: status,
    retry_after: Number(headers.get("retry-after")) || null,
  });
}

/** @param {string} expected @param {string} got */
const unexpected = (expected, got) =>
  new MoondreamError("remote_protocol_error", `expected ${expected}, got ${got.slice(0, 100)}`);

/** @param {string} text */
const parse = (text) => { try { return Object(JSON.parse(text)); } catch { return {}; } };

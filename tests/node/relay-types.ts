// What a page written in TypeScript does with moondream-relay.js. tsc checks it, nothing runs it.
import { ask, follow, MoondreamError } from "./moondream-relay.js";
import type { Answer, Result, StreamEvent, StreamValue } from "./moondream-relay.js";
import * as implementation from "./implementation.js";
import type * as declared from "./moondream-relay.js";

export const conforms: typeof declared = implementation;

export async function read(signal: AbortSignal): Promise<Result | null> {
  const answer: Answer = await ask("/v1/query", { question: "?" }, {
    signal,
    headers: { authorization: "Bearer key" },
    credentials: "include",
    onRetry: ({ error, attempt, delay }) => console.log(error.message, attempt * delay),
  });
  try {
    for await (const value of answer) show(value);
    for await (const value of follow(answer.url, { lastEventId: answer.lastEventId }))
      if (value.kind === "completed") return value.result;
  } catch (error) {
    if (error instanceof MoondreamError && error.partial !== null && "text" in error.partial)
      console.log(error.partial.text.length, (error.retryAfter ?? 0) + (error.status ?? 0));
  }
  return null;
}

function show(value: StreamEvent): string | number {
  switch (value.kind) {
    case "text_delta":
    case "reasoning_delta":
      return value.text;
    case "path_chunk":
      return value.data;
    case "bbox":
      return value.x_max - value.x_min;
    case "unknown":
      return String(value.data["chunk"]);
    case "completed":
      return place(value.result);
    default:
      return value satisfies never;
  }
}

function place(result: Result): number {
  switch (result.kind) {
    case "segment_result":
      return result.bbox?.x_min ?? 0;
    case "detect_result":
      return result.objects.length;
    case "point_result":
      return result.points[0]?.x ?? 0;
    case "query_result":
    case "chat_result":
      return result.reasoning?.grounding.length ?? 0;
    case "caption_result":
      return result.metadata.tokens.output ?? 0;
    default:
      return result satisfies never;
  }
}

export function seen(value: StreamValue): string {
  if ("retryable" in value) return "status_code" in value ? `${value.status_code}` : value.message;
  // @ts-expect-error: only some values have a text
  return value.text;
}

// @ts-expect-error: the answer of `ask` is a promise
for await (const value of ask("/v1/query", {})) console.log(value);
// @ts-expect-error: the method is the module's business
follow("/streams/1", { method: "PUT" });
// @ts-expect-error: ids are texts
follow("/streams/1", { lastEventId: 3 });

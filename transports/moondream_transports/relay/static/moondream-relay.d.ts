/** Types of moondream-relay.js. The values are described in docs/reference/values.md. */

/**
 * Follow the answer at an address, from its beginning or from behind `lastEventId`.
 *
 * Each loop gets `completed` as its last value, or throws. It throws a `MoondreamError`, or the
 * reason of the signal.
 */
export function follow(url: string | URL, options?: Options): Answer;

/**
 * Send a request, such as `{ question, image_url }` to `/v1/query`, and return its answer.
 *
 * Throws a `MoondreamError` if the server refuses it, or the reason of the signal.
 */
export function ask(url: string | URL, request: unknown, options?: Options): Promise<Answer>;

/** The values of one answer. It is read once: `for await (const value of answer)`. */
export interface Answer extends AsyncIterable<StreamEvent> {
  /** Where `follow` finds the answer again. Empty if it came in the response of a POST. */
  readonly url: string;
  /** Id of the value that was read last. Empty at the beginning. */
  readonly lastEventId: string;
}

/** These, and what `fetch` takes: `headers`, `credentials` and more. */
export interface Options extends Omit<RequestInit, "method" | "body"> {
  /** Id of the last value that you have already. */
  lastEventId?: string;
  /** Called before each pause. It may show that the connection is lost. */
  onRetry?: (retry: Retry) => void;
  /** How often we try without getting a value. 6 by default. */
  maxAttempts?: number;
  /** Seconds without a byte, after which the connection counts as lost. 60 by default. */
  idleTimeout?: number;
  /** In place of the global `fetch`. */
  fetch?: typeof fetch;
}

export interface Retry {
  error: MoondreamError;
  /** How many attempts have failed. */
  attempt: number;
  /** Seconds until the next one. */
  delay: number;
}

export class MoondreamError extends Error {
  constructor(kind: string, message: string, fields?: ErrorFields);
  /**
   * As in docs/reference/values.md. `connection_lost` and `remote_protocol_error` are also errors
   * that this module finds. `api_error` is an error response, of which `status` says more.
   */
  readonly kind: string;
  /** Whether the same request may be sent again. */
  readonly retryable: boolean;
  /** What arrived before the error. */
  readonly partial: Result | Arrived | null;
  /** The HTTP status, if there is one. */
  readonly status: number | null;
  /** Seconds to wait, if the server says so. */
  readonly retryAfter: number | null;
}

export interface ErrorFields {
  retryable?: boolean;
  partial?: Result | Arrived | null;
  status_code?: number | null;
  retry_after?: number | null;
  cause?: unknown;
}

/** The text that arrived before the connection was lost. */
export interface Arrived {
  kind: "arrived";
  text: string;
}

/** What a loop gets. */
export type StreamEvent =
  | TextDelta
  | ReasoningDelta
  | BBoxEvent
  | PathChunk
  | Completed
  | Unknown;

/** What a record holds. A loop throws errors. An `EventSource` gets them as values. */
export type StreamValue = StreamEvent | ErrorValue | APIErrorValue;

export interface TextDelta {
  kind: "text_delta";
  version: 1;
  text: string;
  token_index: number | null;
}

export interface ReasoningDelta {
  kind: "reasoning_delta";
  version: 1;
  text: string;
}

export interface BBoxEvent extends BBox {
  kind: "bbox";
  version: 1;
}

export interface PathChunk {
  kind: "path_chunk";
  version: 1;
  data: string;
  token_index: number | null;
}

export interface Completed {
  kind: "completed";
  version: 1;
  result: Result;
}

export interface Unknown {
  kind: "unknown";
  version: 1;
  data: { [name: string]: unknown };
}

export type Result =
  | QueryResult
  | CaptionResult
  | SegmentResult
  | DetectResult
  | PointResult
  | ChatResult;

export interface QueryResult {
  kind: "query_result";
  text: string;
  reasoning: Reasoning | null;
  metadata: Metadata;
  partial: boolean;
}

export interface CaptionResult {
  kind: "caption_result";
  text: string;
  metadata: Metadata;
  partial: boolean;
}

export interface SegmentResult {
  kind: "segment_result";
  path: string;
  bbox: BBox | null;
  parse_error: string | null;
  metadata: Metadata;
  partial: boolean;
}

export interface DetectResult {
  kind: "detect_result";
  objects: BBox[];
  metadata: Metadata;
  partial: boolean;
}

export interface PointResult {
  kind: "point_result";
  points: Point[];
  metadata: Metadata;
  partial: boolean;
}

export interface ChatResult {
  kind: "chat_result";
  text: string;
  reasoning: Reasoning | null;
  metadata: Metadata;
  partial: boolean;
}

/** In fractions of the image: 0 is its left or upper edge, 1 its right or lower edge. */
export interface BBox {
  x_min: number;
  y_min: number;
  x_max: number;
  y_max: number;
}

export interface Point {
  x: number;
  y: number;
}

export interface Reasoning {
  text: string;
  grounding: Grounding[];
}

export interface Grounding {
  start_idx: number;
  end_idx: number;
  points: Point[];
}

export interface Metadata {
  request_id: string | null;
  finish_reason: string | null;
  metrics: Metrics | null;
  stats: Stats | null;
  usage: Usage | null;
  deltas_match: boolean | null;
  headers: [string, string][];
  extra: { [name: string]: unknown };
  tokens: Tokens;
  timing: Timing;
}

export interface Metrics {
  input_tokens: number | null;
  output_tokens: number | null;
  prefill_time_ms: number | null;
  decode_time_ms: number | null;
  ttft_ms: number | null;
}

export interface Stats {
  tokens: number | null;
  duration: number | null;
  tokens_per_sec: number | null;
}

export interface Usage {
  prompt_tokens: number | null;
  completion_tokens: number | null;
  total_tokens: number | null;
}

export interface Tokens {
  input: number | null;
  output: number | null;
}

export interface Timing {
  first_token: number | null;
  prefill: number | null;
  decode: number | null;
  total: number | null;
  tokens_per_second: number | null;
}

export interface ErrorValue {
  kind:
    | "moondream_error"
    | "local_protocol_error"
    | "remote_protocol_error"
    | "limit_exceeded"
    | "transport_error"
    | "connect_error"
    | "tls_error"
    | "connect_timeout"
    | "first_event_timeout"
    | "incomplete_stream"
    | "connection_lost"
    | "idle_timeout"
    | "total_timeout"
    | "turn_timeout";
  version: 1;
  message: string;
  partial: Result | null;
  request_id: string | null;
  method: string | null;
  url: string | null;
  retryable: boolean;
}

export interface APIErrorValue {
  kind:
    | "api_error"
    | "bad_request_error"
    | "authentication_error"
    | "payment_required_error"
    | "permission_denied_error"
    | "not_found_error"
    | "payload_too_large_error"
    | "rate_limit_error"
    | "server_error";
  version: 1;
  message: string;
  partial: Result | null;
  request_id: string | null;
  method: string | null;
  url: string | null;
  status_code: number;
  type: string | null;
  code: string | null;
  param: string | null;
  retry_after: number | null;
  headers: [string, string][] | null;
  body: string;
  retryable: boolean;
}

import type { Settings } from "./config.js";
import { AnswerError, LateError, NotADecisionError } from "./errors.js";
import { headerRequestId } from "./sender.js";

/** The time between two tries, in milliseconds. */
const retryPause = 50;

/** Bounds an answer, in bytes. It is many times the size of a hundred decisions with the longest ids. */
const maxAnswer = 1 << 20;

/** One question. */
export interface Question {
  /** Defaults to /v1/authorize. */
  readonly path?: string;
  readonly token: string;
  /** The id of the request that the program is answering, for Rolecall's log. */
  readonly requestId?: string | undefined;
  /** Of a GET. */
  readonly query?: Record<string, string>;
  /** Of a POST, as JSON. */
  readonly body?: unknown;
  /** Bounds the answer, in bytes. Defaults to maxAnswer. */
  readonly most?: number;
}

/** Sends the question, with up to `retries` retries within `timeout`, and decodes an answer of 200. */
export async function exchange(settings: Settings, question: Question): Promise<unknown> {
  const late = () => new LateError(settings.timeout);
  return decode(await within(settings.timeout, late, (end) => tries(settings, question, end)));
}

/**
 * Does some work, and rejects if it takes longer, or once the signal ends. The work's own signal
 * then ends, too, but the work needn't heed it.
 */
export async function within<T>(
  milliseconds: number, late: () => Error, work: (end: AbortSignal) => Promise<T>, signal?: AbortSignal,
): Promise<T> {
  const end = new AbortController();
  let stop = () => {};
  const stopped = new Promise<never>((_, reject) => {
    const over = (reason: unknown) => {
      reject(reason); // before the abort, whose own error says less
      end.abort(reason);
    };
    const timer = setTimeout(() => over(late()), milliseconds);
    const ended = () => over(signal?.reason);
    signal?.addEventListener("abort", ended);
    stop = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", ended);
    };
  });
  try {
    return await Promise.race([work(end.signal), stopped]);
  } finally {
    stop();
  }
}

function decode(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new NotADecisionError();
  }
}

async function tries(settings: Settings, question: Question, end: AbortSignal): Promise<string> {
  for (let retries = 0; ; retries++) {
    try {
      return await tryOnce(settings, question, end);
    } catch (error) {
      if (retries >= settings.retries || !passing(error)) {
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, retryPause));
      if (end.aborted) {
        throw error;
      }
    }
  }
}

/** Reports whether another try may succeed: after network errors, and after the statuses of outages. */
function passing(error: unknown): boolean {
  if (error instanceof AnswerError) {
    return error.status >= 502 && error.status <= 504;
  }
  return !(error instanceof NotADecisionError);
}

/** Sends the question once and returns the body of an answer of 200. Any other answer is an AnswerError. */
export async function tryOnce(settings: Settings, question: Question, end: AbortSignal): Promise<string> {
  const headers = new Headers({
    Authorization: `Bearer ${question.token}`,
    Accept: "application/json, application/problem+json",
  });
  if (question.requestId !== undefined) {
    headers.set(headerRequestId, question.requestId);
  }
  const init: RequestInit = { method: "GET", headers, redirect: "manual", cache: "no-store", signal: end };
  if (question.body !== undefined) {
    headers.set("Content-Type", "application/json");
    Object.assign(init, { method: "POST", body: JSON.stringify(question.body) });
  }
  const query = question.query === undefined ? "" : "?" + new URLSearchParams(question.query);
  const response = await settings.fetch(settings.base + (question.path ?? "/v1/authorize") + query, init);
  const text = await readText(response, question.most ?? maxAnswer);
  if (response.status === 200) {
    if (text === undefined) {
      throw new NotADecisionError();
    }
    return text;
  }
  const { type, title, reason } = problemIn(text ?? "");
  const requestId = response.headers.get(headerRequestId) ?? "";
  throw new AnswerError(response.status, type, title, reason, requestId, retryAfterIn(response.headers.get("Retry-After") ?? ""));
}

/** Reads the header Retry-After, seconds or a date, as milliseconds. Anything else is 0. */
function retryAfterIn(header: string): number {
  const milliseconds = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return milliseconds > 0 ? milliseconds : 0; // also if it is no number
}

/** Reads the body; undefined if it is too long. */
async function readText(response: Response, most: number): Promise<string | undefined> {
  if (response.body === null) {
    return "";
  }
  const reader = response.body.getReader();
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // JSON has no byte order mark
  let text = "";
  for (let size = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) {
      return text + decoder.decode();
    }
    size += value.byteLength;
    if (size > most) {
      reader.cancel().catch(() => {}); // the answer is settled
      return undefined;
    }
    text += decoder.decode(value, { stream: true });
  }
}

/** Reads a problem. Anything else is a proxy's page, of which the status is enough. */
function problemIn(text: string): { type: string; title: string; reason: string } {
  let problem: Record<string, unknown> = {};
  try {
    problem = Object(JSON.parse(text));
  } catch {
    // it isn't JSON
  }
  const member = (name: string): string => (typeof problem[name] === "string" ? problem[name] : "");
  return { type: member("type"), title: member("title"), reason: member("reason") };
}

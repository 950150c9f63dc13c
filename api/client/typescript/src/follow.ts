import { type Batch, readBatch } from "./changes.js";
import { isInteger, type Settings } from "./config.js";
import { nameable } from "./decision.js";
import { AnswerError, CursorExpiredError, LateError, NotADecisionError, NotChangesError } from "./errors.js";
import { tryOnce, within } from "./exchange.js";
import { problemType } from "./problem.js";

/** What `follow` follows, and from where. */
export interface FollowOptions {
  /**
   * The cursor of a batch or of a change: the first batch begins after it. Left out or empty, it
   * means from the beginning of the feed, and "latest" only what changes from now on.
   */
  readonly after?: string | undefined;
  /** Limits the changes to those of one workspace and of the whole instance. */
  readonly workspaceId?: string | undefined;
  /**
   * Starts anew when a cursor has expired, instead of throwing a CursorExpiredError: from "latest" if
   * `after` was that, else from the beginning. The first batch then is `anew`: the consumer must drop
   * what it knows.
   */
  readonly startAnew?: boolean | undefined;
  /** How many changes a batch has at most, 1 to 200. Defaults to 200. */
  readonly limit?: number | undefined;
  /**
   * How long Rolecall may wait for a change before it answers with an empty batch, in whole seconds,
   * 1 to 60. It must be shorter than any time-out of a proxy between. Defaults to 15.
   */
  readonly wait?: number | undefined;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
  /** Is called with each failure after which it tries again, such as a network error or a 503. */
  readonly failed?: ((error: unknown) => void) | undefined;
}

/** The most changes that Rolecall puts into one answer. */
const mostChanges = 200;

/** How much later than its wait an answer may end, in milliseconds. Then its server counts as silent. */
const waitGrace = 10_000;

/** Bounds an answer, in bytes. It is many times the size of 200 changes with the longest ids. */
const maxPage = 8 << 20;

/**
 * Bound the time before another try, in milliseconds. It doubles from one failure to the next. The
 * first one is right after a restart, and the last one doesn't burden a server that comes back.
 */
const firstRest = 50;
const mostRest = 2000;

/** Bounds how long a Retry-After is obeyed: nobody may silence revocations for a day. */
const mostRetryAfter = 60_000;

/**
 * Follows the feed by long polls: unlike an event stream, each answer ends, so that no proxy holds
 * it back, a cut one is known, and a slow consumer holds up no one.
 */
export async function* follow(settings: Settings, options: FollowOptions = {}): AsyncGenerator<Batch, never, undefined> {
  const { startAnew = false, limit = mostChanges, wait = 15, signal, failed = () => {} } = options;
  requireValid(settings, options, limit, wait);
  let after = options.after ?? "";
  const start = after === "latest" ? after : ""; // without a cursor
  let anew = after === start;
  let atOnce = true; // the next question doesn't wait for a change
  let failures = 0; // in a row
  let anews = 0; // since the consumer had caught up

  for (;;) {
    signal?.throwIfAborted();
    const asked = performance.now();
    let batch: Omit<Batch, "anew">;
    try {
      batch = await ask(settings, options, { after, limit, wait: atOnce ? 0 : wait }, signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof CursorExpiredError && startAnew && after !== start) {
        [after, anew, atOnce] = [start, true, true];
        await rest(++anews > 1 ? restAfter(anews) : 0, signal); // a server that lets no one catch up isn't asked all the time
        continue;
      }
      if (ends(error)) {
        throw error;
      }
      failed(error);
      await rest(Math.max(restAfter(++failures), error instanceof AnswerError ? Math.min(error.retryAfter, mostRetryAfter) : 0), signal);
      continue;
    }
    // An empty batch that came much too early makes the next question wait, so that a server that
    // doesn't wait isn't asked all the time.
    const early = batch.changes.length === 0 && batch.cursor === after && !atOnce && performance.now() - asked < wait * 500;
    yield { ...batch, anew };
    [after, anew, atOnce] = [batch.cursor, false, batch.more];
    anews = batch.more ? anews : 0;
    failures = early ? failures + 1 : 0;
    await rest(early ? restAfter(failures) : 0, signal);
  }
}

function requireValid(settings: Settings, options: FollowOptions, limit: number, wait: number): void {
  const { workspaceId, after } = options;
  if (settings.token === undefined) {
    throw new TypeError("rolecall: the client has no token of a service");
  }
  if (after !== undefined && typeof after !== "string") {
    throw new TypeError("rolecall: after must be a text");
  }
  if (workspaceId !== undefined && !nameable(workspaceId)) {
    throw new TypeError("rolecall: workspaceId must be 1 to 255 bytes of UTF-8 without NUL");
  }
  if (!isInteger(limit, 1, mostChanges) || !isInteger(wait, 1, 60)) {
    throw new RangeError(`rolecall: limit must be 1 to ${mostChanges}, and wait 1 to 60`);
  }
}

interface Place {
  readonly after: string;
  readonly limit: number;
  readonly wait: number;
}

/** Asks once for what comes after a cursor. */
async function ask(
  settings: Settings, { workspaceId }: FollowOptions, { after, limit, wait }: Place, signal: AbortSignal | undefined,
): Promise<Omit<Batch, "anew">> {
  const query: Record<string, string> = { limit: String(limit), wait: String(wait) };
  if (after !== "") {
    query.after = after;
  }
  if (workspaceId !== undefined) {
    query.workspace_id = workspaceId;
  }
  const question = { path: "/v1/changes", token: settings.token ?? "", query, most: maxPage };
  const patience = wait * 1000 + waitGrace;
  try {
    const late = () => new LateError(patience, "whole answer");
    return readBatch(await within(patience, late, (end) => tryOnce(settings, question, end), signal), after, limit);
  } catch (error) {
    if (error instanceof AnswerError && error.status === 410 && isOwn(error)) {
      throw new CursorExpiredError(error);
    }
    throw error instanceof NotADecisionError ? new NotChangesError() : error;
  }
}

/**
 * Reports whether Rolecall itself refuses the question, so that asking again is of no use. A refusal
 * of another server between may pass.
 */
function ends(error: unknown): boolean {
  if (error instanceof CursorExpiredError) {
    return true;
  }
  return error instanceof AnswerError && isOwn(error) && error.status >= 400 && error.status < 500 && error.status !== 408 && error.status !== 429;
}

/** Reports whether an answer is a problem of Rolecall. */
function isOwn(error: AnswerError): boolean {
  return error.type.startsWith(problemType);
}

/** Returns how long to rest after a number of failures in a row. Chance spreads the followers of a server that was away. */
function restAfter(failures: number): number {
  const most = Math.min(firstRest * 2 ** (failures - 1), mostRest);
  return most / 2 + (Math.random() * most) / 2;
}

/** Waits. It rejects once the signal ends. */
async function rest(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  if (milliseconds > 0) {
    await new Promise<void>((resolve, reject) => {
      const ended = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", ended);
        resolve();
      }, milliseconds);
      signal?.addEventListener("abort", ended, { once: true });
    });
  }
}

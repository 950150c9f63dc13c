/** An answer of Rolecall, or of another server at `url`, without a decision. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";

  constructor(
    /** The HTTP status. */
    readonly status: number,
    /** Such as "urn:rolecall:problem:unauthenticated"; other servers have another one, or "". */
    readonly type: string,
    readonly title: string,
    /** Only of a refusal, else "". */
    readonly reason: string,
    /** By which Rolecall's log names the question; "" if the server doesn't say. */
    readonly requestId = "",
    /** For how many milliseconds the server asked not to be asked. */
    readonly retryAfter = 0,
  ) {
    super(`rolecall answered ${status}` + (type === "" ? "" : `: ${title} (${type})`) + (requestId === "" ? "" : `, request ${requestId}`));
  }
}

/** An answer of 200 wasn't the decision that was asked for: the server at `url` isn't Rolecall. */
export class NotADecisionError extends Error {
  override readonly name = "NotADecisionError";

  constructor() {
    super("the answer isn't the decision that was asked for: is the server at url Rolecall?");
  }
}

/** There was no decision in time or, for a follower, no whole answer. */
export class LateError extends Error {
  override readonly name = "LateError";

  constructor(milliseconds: number, what = "decision") {
    super(`no ${what} within ${milliseconds} ms`);
  }
}

/**
 * The cursor leads nowhere any more: it is older than the audit log is kept, or of a history that a
 * failover of the database has cut off. Drop what you know and start anew, without a cursor, or let
 * `startAnew` do so.
 */
export class CursorExpiredError extends Error {
  override readonly name = "CursorExpiredError";

  constructor(cause: AnswerError) {
    super("the cursor has expired: start anew without one", { cause });
  }
}

/**
 * An answer of 200 wasn't the changes that were asked for: a server between, or the one at `url`,
 * isn't Rolecall. A follower asks again.
 */
export class NotChangesError extends Error {
  override readonly name = "NotChangesError";

  constructor() {
    super("the answer isn't the changes that were asked for");
  }
}

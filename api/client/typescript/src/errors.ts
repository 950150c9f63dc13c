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

/** There was no decision in time. */
export class LateError extends Error {
  override readonly name = "LateError";

  constructor(milliseconds: number) {
    super(`no decision within ${milliseconds} ms`);
  }
}

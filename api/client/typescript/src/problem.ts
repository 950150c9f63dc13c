import { AnswerError } from "./errors.js";

/** The prefix of Rolecall's types. */
const problemType = "urn:rolecall:problem:";

/**
 * A refusal, in the form of Rolecall's problems (RFC 9457). The texts are this package's own. Of
 * Rolecall's answer, the sender sees only the type and, of a 403, the reason.
 */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly type: string;

  constructor(
    type: string,
    readonly title: string,
    readonly status: number,
    readonly reason?: string,
  ) {
    super(reason === undefined ? title : `${title} (${reason})`);
    this.type = problemType + type;
  }

  /** The problem as an answer. */
  response(): Response {
    const headers = new Headers({ "Content-Type": "application/problem+json", "Cache-Control": "no-store" });
    if (this.status === 401) {
      headers.set("WWW-Authenticate", "Bearer");
    }
    if (this.status === 503) {
      headers.set("Retry-After", "1");
    }
    const { type, title, status, reason } = this;
    return new Response(JSON.stringify({ type, title, status, reason }), { status, headers });
  }
}

export const unauthenticated = (): Problem => new Problem("unauthenticated", "No usable token", 401);
export const sessionEnded = (): Problem => new Problem("session-ended", "The session has ended", 401);
export const forbidden = (reason: string): Problem => new Problem("forbidden", "Forbidden", 403, reason);
export const notFound = (): Problem => new Problem("not-found", "Not found", 404);
export const unavailable = (): Problem => new Problem("unavailable", "Temporarily unavailable", 503);

/** The error for a refusing decision: the one that Rolecall's own answer to the user would cause. */
export function refusal(reason: string): Error {
  switch (reason) {
    case "not_a_member":
    case "workspace_deleted":
      return notFound();
    case "stale":
      return new AnswerError(503, problemType + "stale", "Not fresh enough", reason);
    default:
      return forbidden(reason);
  }
}

/**
 * Turns Rolecall's refusal of a user's own token into the user's problem. Type and status must both
 * match: a 401, 403 or 404 alone may come from a proxy or from another server at `url`, and says
 * nothing about the user.
 */
export function ofUser(error: unknown): unknown {
  if (!(error instanceof AnswerError)) {
    return error;
  }
  const problems = [unauthenticated(), sessionEnded(), forbidden(error.reason), notFound()];
  return problems.find((p) => p.type === error.type && p.status === error.status) ?? error;
}

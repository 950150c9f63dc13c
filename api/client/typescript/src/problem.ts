import { AnswerError } from "./errors.js";

/** The prefix of Rolecall's types. */
export const problemType = "urn:rolecall:problem:";

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
    options?: ErrorOptions,
  ) {
    super(reason === undefined ? title : `${title} (${reason})`, options);
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
export const forbidden = (reason: string, options?: ErrorOptions): Problem => new Problem("forbidden", "Forbidden", 403, reason, options);
export const notFound = (options?: ErrorOptions): Problem => new Problem("not-found", "Not found", 404, undefined, options);
export const unavailable = (): Problem => new Problem("unavailable", "Temporarily unavailable", 503);

/**
 * The error for a refusing decision: the one that Rolecall's own answer to the user would cause. If
 * the refusal is the program's own fault, the fault is the error's cause.
 */
export function refusal(reason: string): Error {
  switch (reason) {
    case "not_a_member":
    case "workspace_deleted":
      return notFound();
    case "stale":
      return new AnswerError(503, problemType + "stale", "Not fresh enough", reason);
    case "unknown_permission": // misspelt, or not yet in the policy: the user lacks it all the same
      return forbidden("permission_missing", {
        cause: new AnswerError(403, problemType + "forbidden", "No role has the permission", reason),
      });
    case "workspace_not_listed": // the user may have chosen the workspace, perhaps at random
      return notFound({
        cause: new AnswerError(403, problemType + "workspace-not-listed", "The service's token is limited to other workspaces", reason),
      });
    default:
      return forbidden(reason);
  }
}

/** What the program should hear of: any error but an ordinary refusal, and the fault behind a refusal. */
export function reportable(error: unknown): unknown {
  return error instanceof Problem ? error.cause : error;
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

import type { Client, MaybeId } from "./client.js";
import { type Decision, requirePossible } from "./decision.js";
import { Problem, unavailable } from "./problem.js";
import type { Sender, WithHeaders } from "./sender.js";

type Maybe<T> = T | Promise<T>;

/**
 * Admits or refuses a request: undefined admits it, and a Response is the refusal. Rest is what the
 * framework passes beside the request.
 */
export type Guard<R extends WithHeaders = Request, Rest extends unknown[] = []> = (
  request: R,
  ...rest: Rest
) => Promise<Response | undefined>;

const decisions = new WeakMap<object, Decision>();

/** Returns the decision by which a guard admitted the request, if one did. */
export function decisionOf(request: object): Decision | undefined {
  return decisions.get(request);
}

/**
 * Returns a guard that admits a request only if its sender has the permission in the workspace that
 * workspaceOf finds in the request. The session token in Authorization: Bearer identifies the
 * sender, unless senderOf does.
 *
 * Other requests get a problem (RFC 9457): 401 without a usable token, 403 without the permission,
 * 404 if the sender isn't a member, 503 without a decision. Only Rolecall's own answers cause the
 * first three: a 401, 403 or 404 of a proxy or of another server becomes a 503.
 */
export function requirePermission<R extends WithHeaders = Request, Rest extends unknown[] = []>(
  client: Client,
  permission: string,
  workspaceOf: (request: R, ...rest: Rest) => Maybe<MaybeId>,
  senderOf: (request: R, ...rest: Rest) => Maybe<Sender> = (request: R, ..._: Rest) => request,
): Guard<R, Rest> {
  requirePossible(permission);
  if (typeof workspaceOf !== "function" || typeof senderOf !== "function") {
    throw new TypeError("rolecall: requirePermission needs a function that finds the workspace");
  }
  return async (request, ...rest) => {
    const sender = await senderOf(request, ...rest);
    const workspace = await workspaceOf(request, ...rest);
    try {
      decisions.set(request, await client.admit(sender, workspace, permission));
      return undefined;
    } catch (error) {
      client.report(error);
      return (error instanceof Problem ? error : unavailable()).response();
    }
  };
}

/** Puts a guard before a handler of the Fetch API, such as a route handler of Next.js. */
export function protect<R extends WithHeaders, Rest extends unknown[]>(
  guard: Guard<R, Rest>,
  handler: (request: R, ...rest: Rest) => Maybe<Response>,
): (request: R, ...rest: Rest) => Promise<Response> {
  return async (request, ...rest) => (await guard(request, ...rest)) ?? handler(request, ...rest);
}

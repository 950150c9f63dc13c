import { batched } from "./batch.js";
import type { Batch } from "./changes.js";
import { type Config, settingsOf } from "./config.js";
import { type Check, type Decision, maxChecks, nameable, notAMember, readMany, readOwn, requirePossible } from "./decision.js";
import { exchange } from "./exchange.js";
import { type Explanation, readExplanation } from "./explanation.js";
import { type FollowOptions, follow } from "./follow.js";
import type { components } from "./openapi.js";
import { notFound, ofUser, refusal, reportable, unauthenticated } from "./problem.js";
import { bearerOf, requestIdOf, type Sender, usable } from "./sender.js";

/** A workspace's id as a program finds it in a request. Anything but a text names no workspace. */
export type MaybeId = string | readonly string[] | null | undefined;

/** Asks Rolecall for decisions, and follows its changes. */
export interface Client {
  /**
   * Reports whether the sender may do something in a workspace. It is false whenever in doubt:
   * after a time-out, a network error or an answer that is no decision, too. Config's `failed` is
   * then told why.
   */
  can(sender: Sender, workspaceId: MaybeId, permission: string): Promise<boolean>;
  /**
   * Resolves with the decision only if the sender may do something. Else it rejects: with a Problem
   * of 401, 403 or 404 if Rolecall refused the sender, and with another error without a decision.
   */
  admit(sender: Sender, workspaceId: MaybeId, permission: string): Promise<Decision>;
  /**
   * Asks, as the service, about 1 to 100 checks, and resolves with their decisions in the same
   * order. A refusal is a decision. Rolecall first looks up at Clerk users who aren't members, as
   * if they had asked themselves. Calls of one tick share requests.
   *
   * A user or a workspace that can't be an id (empty, more than 255 bytes, with NUL or a lone
   * surrogate) is refused as not_a_member without asking Rolecall. An odd permission is a mistake
   * of the program, and rejects.
   */
  decide(checks: readonly Check[]): Promise<Decision[]>;
  /**
   * Asks, as the service, why a user may do something or not. A refusal is an explanation. No one is
   * looked up at Clerk. An id or a permission that Rolecall doesn't take is a mistake of the program,
   * and rejects.
   */
  explain(check: Check): Promise<Explanation>;
  /**
   * Hands over the changes of Rolecall's feed as they happen, batch by batch, as the service. The
   * loop's body handles a batch; while it runs, nothing more is asked for. So a consumer that stores
   * `batch.cursor` in the transaction of its effects handles each change exactly once, however often
   * it is started again. One that stores the cursor later may see a batch twice, and none is left
   * out.
   *
   *     for await (const batch of rolecall.follow({ after: stored })) {
   *
   * It asks again by itself after network errors, time-outs, answers that aren't Rolecall's and the
   * statuses of outages, at growing intervals of 5 seconds at most, and tells the option `failed`. A
   * batch is taken whole or not at all. Batches keep coming: an empty one after `wait` says that
   * nothing has changed.
   *
   * It throws `signal`'s reason, a CursorExpiredError, or the AnswerError with which Rolecall itself
   * refused the question, such as a 401.
   */
  follow(options?: FollowOptions): AsyncGenerator<Batch, never, undefined>;
  /** Tells Config's `failed` of an error of `admit`, unless it is an ordinary refusal. Guards do so. */
  report(error: unknown): void;
}

/** Returns a client, or throws an error that names every invalid field. It makes no request. */
export function createClient(config: Config): Client {
  const settings = settingsOf(config);
  const { token, maxStaleness, failed } = settings;

  const ask = batched(async (checks) => {
    const body: components["schemas"]["Checks"] = {
      checks: checks.map((c) => ({ user_id: c.userId, workspace_id: c.workspaceId, permission: c.permission })),
      refresh: true,
      ...(maxStaleness === undefined ? {} : { max_staleness: maxStaleness }),
    };
    return readMany(await exchange(settings, { token: token ?? "", body }), checks);
  });

  const decide = async (given: readonly Check[]): Promise<Decision[]> => {
    const checks = given.map(({ userId, workspaceId, permission }) => ({ userId, workspaceId, permission })); // the caller's may change
    if (checks.length < 1 || checks.length > maxChecks) {
      throw new RangeError(`rolecall: ${checks.length} checks, must be 1 to ${maxChecks}`);
    }
    if (token === undefined) {
      throw new TypeError("rolecall: the client has no token of a service");
    }
    checks.forEach((check) => requirePossible(check.permission));
    const asked = checks.filter((check) => nameable(check.userId) && nameable(check.workspaceId));
    const answers = new Map<Check, Decision>();
    if (asked.length > 0) {
      const decisions = await ask(asked);
      decisions.forEach((decision, i) => answers.set(asked[i] as Check, decision));
    }
    return checks.map((check) => answers.get(check) ?? notAMember(check));
  };

  const explain = async ({ userId, workspaceId, permission }: Check): Promise<Explanation> => {
    if (token === undefined) {
      throw new TypeError("rolecall: the client has no token of a service");
    }
    requirePossible(permission);
    if (!nameable(userId) || !nameable(workspaceId)) {
      throw new TypeError("rolecall: userId and workspaceId must be 1 to 255 bytes of UTF-8 without NUL");
    }
    const body: components["schemas"]["Inquiry"] = {
      user_id: userId, workspace_id: workspaceId, permission, ...(maxStaleness === undefined ? {} : { max_staleness: maxStaleness }),
    };
    return readExplanation(await exchange(settings, { path: "/v1/explain", token, body }), { userId, workspaceId, permission });
  };

  /** Asks as the service about a user whom the program has identified. */
  const admitUser = async (userId: unknown, workspaceId: unknown, permission: string): Promise<Decision> => {
    if (userId === null || userId === undefined || userId === "") {
      throw unauthenticated();
    }
    const [decision] = await decide([{ userId, workspaceId, permission } as Check]);
    if (!decision?.allowed) {
      throw refusal(decision?.reason ?? "");
    }
    return decision;
  };

  /** Asks, with a user's own token, whether the user may do something. */
  const admitOwn = async (
    session: string | undefined, workspaceId: unknown, permission: string, requestId?: string,
  ): Promise<Decision> => {
    if (session === undefined) {
      throw unauthenticated();
    }
    if (!nameable(workspaceId)) {
      throw notFound();
    }
    const query: Record<string, string> = { workspace_id: workspaceId, permission };
    if (maxStaleness !== undefined) {
      query.max_staleness = String(maxStaleness);
    }
    try {
      return readOwn(await exchange(settings, { token: session, query, requestId }), workspaceId, permission);
    } catch (error) {
      throw ofUser(error);
    }
  };

  const admit = async (sender: Sender, workspaceId: MaybeId, permission: string): Promise<Decision> => {
    requirePossible(permission);
    if ("headers" in sender) {
      return admitOwn(bearerOf(sender), workspaceId, permission, requestIdOf(sender));
    }
    if ("token" in sender) {
      return admitOwn(usable(sender.token), workspaceId, permission);
    }
    return admitUser(sender.userId, workspaceId, permission);
  };

  const report = (error: unknown): void => {
    const heard = reportable(error);
    if (heard !== undefined) {
      failed(heard);
    }
  };

  const can = async (sender: Sender, workspaceId: MaybeId, permission: string): Promise<boolean> => {
    try {
      return (await admit(sender, workspaceId, permission)).allowed;
    } catch (error) {
      report(error);
      return false;
    }
  };

  return { can, admit, decide, explain, follow: (options) => follow(settings, options), report };
}

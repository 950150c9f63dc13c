import { NotADecisionError } from "./errors.js";
import type { components } from "./openapi.js";

/** Why a decision is as it is. */
export type Reason = components["schemas"]["Reason"];

/** Asks whether a user may do something in a workspace. */
export interface Check {
  /** `user_…` */
  readonly userId: string;
  /** `org_…` */
  readonly workspaceId: string;
  /** A permission of the policy, or a permission's key at Clerk. */
  readonly permission: string;
}

/** Rolecall's answer to a check. */
export interface Decision extends Check {
  readonly allowed: boolean;
  /** "allowed", or why not. A later version of Rolecall may have further reasons. */
  readonly reason: Reason | (string & {});
  /** Clerk's full key; empty unless the user is a member who may act. */
  readonly role: string;
  /** Who acts as the user; empty if the user acts, and if a service asked. */
  readonly impersonator: string;
  /** Counts the workspace's changes. */
  readonly revision: number;
  /**
   * When the last comparison with Clerk began or, before the first one, the workspace was created.
   * Null if unknown.
   */
  readonly asOf: Date | null;
}

/** The most checks that Rolecall takes at once. */
export const maxChecks = 100;

/** Bounds ids and permissions, in bytes, as Rolecall does. */
const maxId = 255;

/**
 * Reports whether a value can be an id or a permission. For any other text, Rolecall refuses the
 * whole request.
 */
export function nameable(value: unknown): value is string {
  return (
    typeof value === "string" &&
    value !== "" &&
    value.length <= maxId &&
    new TextEncoder().encode(value).length <= maxId &&
    !/[\0\p{Surrogate}]/u.test(value) // a lone surrogate has no UTF-8
  );
}

/** Throws unless a permission is possible: an odd one is a mistake of the program. */
export function requirePossible(permission: unknown): asserts permission is string {
  if (!nameable(permission)) {
    throw new TypeError(`rolecall: the permission must be 1 to ${maxId} bytes of UTF-8 without NUL`);
  }
}

/** The refusal of a check whose user or workspace can't be an id. */
export function notAMember(check: Check): Decision {
  const { userId, workspaceId, permission } = check;
  return { allowed: false, reason: "not_a_member", role: "", permission, workspaceId, userId, impersonator: "", revision: 0, asOf: null };
}

/** Reads the answer to GET /v1/authorize: a decision that allows, about the token's user. */
export function readOwn(answer: unknown, workspaceId: string, permission: string): Decision {
  const decision = readDecision(answer);
  if (!decision.allowed || !answers(decision, { userId: decision.userId, workspaceId, permission })) {
    throw new NotADecisionError();
  }
  return decision;
}

/** Reads the answer to POST /v1/authorize: a decision for each check, in their order. */
export function readMany(answer: unknown, checks: readonly Check[]): Decision[] {
  const { decisions } = asObject(answer);
  if (!Array.isArray(decisions) || decisions.length !== checks.length) {
    throw new NotADecisionError();
  }
  return checks.map((check, i) => readAnswer(decisions[i], check));
}

/** Reads the decision about a check. */
export function readAnswer(value: unknown, check: Check): Decision {
  const decision = readDecision(value);
  if (!answers(decision, check)) {
    throw new NotADecisionError();
  }
  return decision;
}

/** Reports whether the decision is about the check, and doesn't contradict itself. */
function answers(d: Decision, check: Check): boolean {
  return (
    d.userId !== "" &&
    d.userId === check.userId &&
    d.workspaceId === check.workspaceId &&
    d.permission === check.permission &&
    d.reason !== "" &&
    d.allowed === (d.reason === "allowed")
  );
}

/** Reads one decision. An absent member is its type's zero value; one of another type is an error. */
function readDecision(value: unknown): Decision {
  const o = asObject(value);
  const asOf = o.as_of ?? null;
  return {
    allowed: typed(o.allowed ?? false, "boolean"),
    reason: typed(o.reason ?? "", "string"),
    role: typed(o.role ?? "", "string"),
    permission: typed(o.permission ?? "", "string"),
    workspaceId: typed(o.workspace_id ?? "", "string"),
    userId: typed(o.user_id ?? "", "string"),
    impersonator: typed(o.impersonator ?? "", "string"),
    revision: asInteger(o.revision ?? 0),
    asOf: asOf === null ? null : asDate(asOf),
  };
}

interface Types {
  boolean: boolean;
  string: string;
}

/** Returns a value of a type, or throws. */
export function typed<T extends keyof Types>(value: unknown, type: T): Types[T] {
  if (typeof value !== type) {
    throw new NotADecisionError();
  }
  return value as Types[T];
}

/** Returns an object, or throws. */
export function asObject(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new NotADecisionError();
  }
  return value as Record<string, unknown>;
}

/** Returns a whole number, or throws. */
export function asInteger(value: unknown): number {
  if (!Number.isSafeInteger(value)) {
    throw new NotADecisionError();
  }
  return value as number;
}

/** Returns the instant of a text of RFC 3339, or throws. */
export function asDate(value: unknown): Date {
  const date = /^\d{4}-\d\d-\d\dT/.test(typed(value, "string")) ? new Date(value as string) : undefined;
  if (date === undefined || Number.isNaN(date.getTime())) {
    throw new NotADecisionError();
  }
  return date;
}

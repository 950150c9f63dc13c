import { asDate, asObject, type Check, type Decision, readAnswer, typed } from "./decision.js";
import { NotADecisionError } from "./errors.js";
import type { components } from "./openapi.js";

/**
 * Says why a user may do something, or not. It is for people who look into a refusal. To admit a
 * user, ask for the decision alone.
 */
export interface Explanation {
  readonly decision: Decision;
  /**
   * Account, workspace, membership, role, grant, freshness and impersonation, in this order. There
   * are none of a workspace to which the token doesn't extend.
   */
  readonly facts: readonly Fact[];
  /** The single change that would let the user in; null if there is none, and of an allowance. */
  readonly change: Change | null;
}

/** One thing on which a decision rests. */
export interface Fact {
  /** A later version of Rolecall may have further facts. */
  readonly fact: components["schemas"]["Fact"]["fact"] | (string & {});
  /** False refuses; null: it says nothing here. */
  readonly holds: boolean | null;
  /** In words, which may change. */
  readonly detail: string;
  /** Null if it isn't known. */
  readonly since: Date | null;
  /** `msg_…`, `cmd_…`, `sweep_…`, `lookup_…` or `policy`; empty if it isn't known. */
  readonly cause: string;
}

/** A change after which a refused request would be allowed. */
export interface Change {
  readonly kind: components["schemas"]["Change"]["kind"] | (string & {});
  /** The user, the workspace or, for `grant_permission`, the role. */
  readonly subject: string;
  /** That the user would get; empty unless the change gives one. */
  readonly role: string;
  /** What to do, in words, which may change. */
  readonly words: string;
}

/** Reads the answer to POST /v1/explain. One that contradicts itself is an error. */
export function readExplanation(answer: unknown, check: Check): Explanation {
  const o = asObject(answer);
  const decision = readAnswer(o.decision, check);
  const listed = o.facts ?? [];
  if (!Array.isArray(listed)) {
    throw new NotADecisionError();
  }
  const facts = listed.map(readFact);
  if (facts.some((fact) => fact.fact === "" || (decision.allowed && fact.holds === false))) {
    throw new NotADecisionError();
  }
  return { decision, facts, change: (o.change ?? null) === null ? null : readChange(o.change) };
}

function readFact(value: unknown): Fact {
  const o = asObject(value);
  return {
    fact: typed(o.fact ?? "", "string"),
    holds: (o.holds ?? null) === null ? null : typed(o.holds, "boolean"),
    detail: typed(o.detail ?? "", "string"),
    since: (o.since ?? null) === null ? null : asDate(o.since),
    cause: typed(o.cause ?? "", "string"),
  };
}

function readChange(value: unknown): Change {
  const o = asObject(value);
  return {
    kind: typed(o.kind ?? "", "string"),
    subject: typed(o.subject ?? "", "string"),
    role: typed(o.role ?? "", "string"),
    words: typed(o.words ?? "", "string"),
  };
}

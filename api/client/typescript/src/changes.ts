import { asDate, asInteger, asObject, typed } from "./decision.js";
import { NotChangesError } from "./errors.js";

/**
 * One change of the feed: something about a workspace, a member, an invitation, a user or a role
 * that Rolecall recorded, or an event that a product appended.
 */
export interface FeedChange {
  /** Its place: after it, `follow` goes on with the next change. */
  readonly cursor: string;
  /** When it happened; changes aren't ordered by it. */
  readonly at: Date;
  /** Empty if it concerns the whole instance: users and roles. */
  readonly workspaceId: string;
  /** The action of its audit entry, such as "member.removed". */
  readonly kind: string;
  /** What has changed: the id of the user, workspace, invitation or role, or what a product named. */
  readonly target: string;
  /** Whom it is about; empty if it is about no user. */
  readonly userId: string;
  /** Of every change of a member, else empty. */
  readonly membershipId: string;
  /** Of a member or an invitation: the role after the change, or the last one; of a role: its key; else empty. */
  readonly role: string;
  /** Of the workspace, at which the change is in force, as `min_revision` takes it; else 0. */
  readonly revision: number;
  /** `msg_…`, `cmd_…`, `sweep_…`, `lookup_…` or a product's own. */
  readonly cause: string;
  /** Of a user: what the change says of the account; null if it doesn't say. */
  readonly deleted: boolean | null;
  /** The same. */
  readonly banned: boolean | null;
  /** The same. */
  readonly deprovisioned: boolean | null;
}

/**
 * What `follow` hands over at once. It may have no changes: it then only says how far the feed is
 * complete.
 */
export interface Batch {
  /**
   * At most `limit` changes, in the order of the feed. The changes of one workspace are in the order
   * in which they took effect.
   */
  readonly changes: readonly FeedChange[];
  /**
   * The place after the batch. Store it together with what the batch has led to, and give it to
   * `follow` as `after`.
   */
  readonly cursor: string;
  /**
   * Tells silence from lag: all changes that were recorded before this instant are in this batch or
   * in earlier ones.
   */
  readonly completeUntil: Date;
  /**
   * The batch is full, so that the next one follows at once. After a batch without it, the consumer
   * has caught up for now.
   */
  readonly more: boolean;
  /**
   * What comes doesn't continue earlier batches: drop what they led to. So it is in the first batch of
   * a consumer without a cursor and, with `startAnew`, after the cursor expired.
   */
  readonly anew: boolean;
}

/** Reads an answer to GET /v1/changes, whole or not at all. */
export function readBatch(answer: string, after: string, limit: number): Omit<Batch, "anew"> {
  try {
    const page = asObject(JSON.parse(answer));
    const cursor = typed(page.next_cursor, "string");
    if (!Array.isArray(page.data) || page.data.length > limit || cursor === "") {
      throw new NotChangesError();
    }
    const changes = page.data.map(readChange);
    if (changes.some((c) => c.cursor === after) || (changes.length > 0 && cursor === after)) { // the next answer would be the same
      throw new NotChangesError();
    }
    return { changes, cursor, completeUntil: asDate(page.complete_until), more: changes.length === limit };
  } catch {
    throw new NotChangesError();
  }
}

function readChange(value: unknown): FeedChange {
  const o = asObject(value);
  const text = (name: string): string => typed(o[name] ?? "", "string");
  const flag = (name: string): boolean | null => ((o[name] ?? null) === null ? null : typed(o[name], "boolean"));
  const change = {
    cursor: text("cursor"),
    at: asDate(o.at),
    workspaceId: text("workspace_id"),
    kind: text("kind"),
    target: text("target"),
    userId: text("user_id"),
    membershipId: text("membership_id"),
    role: text("role"),
    revision: asInteger(o.revision ?? 0),
    cause: text("cause"),
    deleted: flag("deleted"),
    banned: flag("banned"),
    deprovisioned: flag("deprovisioned"),
  };
  if (change.cursor === "" || change.kind === "") {
    throw new NotChangesError();
  }
  return change;
}

import type { Batch, FeedChange } from "./changes.js";

/** A user isn't a member of a workspace any more, or can't act there. */
export interface Departure {
  readonly workspaceId: string;
  readonly userId: string;
}

/**
 * Keeps in memory who is a member of which workspace, from the batches of `follow`.
 *
 * It needs the feed from its beginning. Until it has caught up for the first time, no one is a
 * member. While the feed is read anew (`batch.anew`), it answers from what it knew before.
 *
 * It goes by the rules of the mirror. A membership counts while its workspace and its user live, and
 * the user is neither banned nor deprovisioned. Of a user's memberships in a workspace, the one that
 * began last counts, also after its end: after a rejoin, the end of the former membership may come
 * after the beginning of the new one. Where Clerk dated two memberships the wrong way round, that may
 * leave a member out until the next change of that member; it never lets a removed one in.
 */
export class Members {
  #known = new Book();
  #rebuilt: Book | undefined; // takes the place of #known once it has caught up
  #until: Date | null = null;

  /**
   * Takes the next batch, and returns who has ceased to be a member by it: removed or gone, by the
   * deletion of a workspace, or by a ban, a deletion or a deprovisioning of the user. When the feed
   * was read from its beginning, and has been caught up with, all are returned who ever were members
   * and aren't any more: one of them may have been let in while it was read.
   */
  apply(batch: Pick<Batch, "changes" | "anew" | "more" | "completeUntil">): Departure[] {
    if (batch.anew) {
      this.#rebuilt = new Book();
    }
    const into = this.#rebuilt ?? this.#known;
    const gone = batch.changes.flatMap((change) => into.apply(change));
    this.#until = batch.completeUntil;
    if (this.#rebuilt === undefined) {
      return gone;
    }
    if (batch.more) {
      return [];
    }
    const before = this.#known;
    [this.#known, this.#rebuilt] = [this.#rebuilt, undefined];
    return this.#known.gone(before);
  }

  /**
   * Returns a member's role, by the key that it had when the member got it; undefined unless the user
   * is a member who may act.
   */
  role(workspaceId: string, userId: string): string | undefined {
    return this.#known.role(workspaceId, userId);
  }

  /** Returns the roles of a workspace's members by the ids of their users. */
  of(workspaceId: string): Map<string, string> {
    return this.#known.membersOf(workspaceId);
  }

  /** The instant up to which the members are known: the last batch's. */
  get completeUntil(): Date | null {
    return this.#until;
  }
}

interface Workspace {
  deleted: boolean; // its memberships come back with it, if it had only seemed to be
  members: Map<string, Membership[]>;
}

interface User {
  deleted: boolean;
  banned: boolean;
  deprovisioned: boolean;
  workspaces: Set<string>; // in which the user ever was
}

interface Membership {
  readonly id: string;
  readonly began: number;
  role: string;
  ended: boolean;
}

/** What the changes so far say. */
class Book {
  readonly #workspaces = new Map<string, Workspace>();
  readonly #users = new Map<string, User>();

  role(workspaceId: string, userId: string): string | undefined {
    const workspace = this.#workspaces.get(workspaceId);
    const user = this.#users.get(userId);
    if (workspace === undefined || user === undefined || workspace.deleted || user.deleted || user.banned || user.deprovisioned) {
      return undefined;
    }
    const last = workspace.members.get(userId)?.at(-1);
    return last === undefined || last.ended ? undefined : last.role;
  }

  membersOf(workspaceId: string): Map<string, string> {
    const members = new Map<string, string>();
    for (const userId of this.#workspaces.get(workspaceId)?.members.keys() ?? []) {
      const role = this.role(workspaceId, userId);
      if (role !== undefined) {
        members.set(userId, role);
      }
    }
    return members;
  }

  /** Takes a change, and returns whose membership ceased to count. */
  apply(change: FeedChange): Departure[] {
    const isMember = ({ workspaceId, userId }: Departure) => this.role(workspaceId, userId) !== undefined;
    const before = this.#concerned(change).filter(isMember);
    this.#note(change);
    return before.filter((pair) => !isMember(pair));
  }

  /** Returns those whom this book or one before it knows, and who aren't members by this one. */
  gone(before: Book): Departure[] {
    const departed = this.#pairs().filter(({ workspaceId, userId }) => this.role(workspaceId, userId) === undefined);
    const forgotten = before.#pairs().filter(({ workspaceId, userId }) => !this.#workspaces.get(workspaceId)?.members.get(userId)?.length);
    return [...departed, ...forgotten];
  }

  /** Returns everybody who ever was a member. */
  #pairs(): Departure[] {
    return [...this.#workspaces].flatMap(([workspaceId, { members }]) => [...members.keys()].map((userId) => ({ workspaceId, userId })));
  }

  /** Returns the members whom a change may make none. */
  #concerned({ kind, workspaceId, userId }: FeedChange): Departure[] {
    switch (kind.split(".", 1)[0]) {
      case "member":
        return [{ workspaceId, userId }];
      case "workspace":
        return [...this.#workspace(workspaceId).members.keys()].map((member) => ({ workspaceId, userId: member }));
      case "user":
        return [...this.#user(userId).workspaces].map((workspace) => ({ workspaceId: workspace, userId }));
      default:
        return [];
    }
  }

  #note(change: FeedChange): void {
    const { kind, workspaceId, userId } = change;
    switch (kind) {
      case "workspace.created":
      case "workspace.deleted":
        this.#workspace(workspaceId).deleted = kind === "workspace.deleted";
        break;
      case "member.joined":
      case "member.role_changed":
      case "member.removed":
      case "member.left": {
        this.#user(userId).workspaces.add(workspaceId);
        const { members } = this.#workspace(workspaceId);
        members.set(userId, noted(members.get(userId) ?? [], change));
        break;
      }
      case "user.banned":
      case "user.unbanned":
      case "user.deprovisioned":
      case "user.restored":
      case "user.deleted":
        noteUser(this.#user(userId), change);
    }
  }

  #workspace(id: string): Workspace {
    const known = this.#workspaces.get(id) ?? { deleted: false, members: new Map() };
    this.#workspaces.set(id, known);
    return known;
  }

  #user(id: string): User {
    const known = this.#users.get(id) ?? { deleted: false, banned: false, deprovisioned: false, workspaces: new Set() };
    this.#users.set(id, known);
    return known;
  }
}

/**
 * Notes a change of one of a pair's memberships, which are in the order of their beginnings. Of two
 * that began in the same millisecond, the one that has ended is the former. The last one stays when it
 * has ended: it keeps those before it from counting.
 */
function noted(of: Membership[], { kind, membershipId, role, at }: FeedChange): Membership[] {
  const ends = kind === "member.removed" || kind === "member.left";
  const known = membershipId === "" ? of.at(-1) : of.find((m) => m.id === membershipId);
  if (known !== undefined) {
    known.ended = ends;
    known.role = ends ? known.role : role;
  } else if (!ends) { // else it has ended, and the feed has nothing else of it
    of.push({ id: membershipId, began: at.getTime(), role, ended: false });
  }
  of.sort((a, b) => a.began - b.began || Number(b.ended) - Number(a.ended));
  return of.filter((m, i) => !m.ended || i === of.length - 1);
}

/**
 * Notes a change of an account. A change that doesn't say what holds now means what its kind says: a
 * user who had been deleted, and is restored, had only seemed to be.
 */
function noteUser(user: User, { kind, deleted, banned, deprovisioned }: FeedChange): void {
  if (deleted !== null || banned !== null || deprovisioned !== null) {
    user.deleted = deleted ?? user.deleted;
    user.banned = banned ?? user.banned;
    user.deprovisioned = deprovisioned ?? user.deprovisioned;
  } else if (kind === "user.deleted" || (kind === "user.restored" && user.deleted)) {
    user.deleted = kind === "user.deleted";
  } else if (kind === "user.deprovisioned" || kind === "user.restored") {
    user.deprovisioned = kind === "user.deprovisioned";
  } else {
    user.banned = kind === "user.banned";
  }
}

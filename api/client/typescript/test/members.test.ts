import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { type FeedChange, Members } from "@callmine/rolecall";

type Row = [kind: string, workspaceId: string, userId: string, membershipId: string, role: string, seconds: number, says?: Partial<FeedChange>];

interface Case {
  name: string;
  batches: {
    anew?: boolean;
    more?: boolean;
    changes: Row[];
    gone: [string, string][];
    members: Record<string, Record<string, string>>;
  }[];
}

/** The table that the Go client's tests read, too. This file is in build/test when it runs. */
const { cases }: { cases: Case[] } = JSON.parse(readFileSync(new URL("../../../testdata/members.json", import.meta.url), "utf8"));

function changeOf([kind, workspaceId, userId, membershipId, role, seconds, says]: Row): FeedChange {
  const at = new Date(seconds * 1000);
  const told = { cursor: "c", at, workspaceId, kind, target: userId, userId, membershipId, role, revision: 1, cause: "" };
  return { ...told, deleted: null, banned: null, deprovisioned: null, ...says };
}

for (const { name, batches } of cases) {
  test(`members follow the mirror: ${name}`, () => {
    const members = new Members();
    assert.equal(members.completeUntil, null);
    for (const [i, { anew = false, more = false, changes, gone, members: expected }] of batches.entries()) {
      const completeUntil = new Date(i);
      const left = members.apply({ changes: changes.map(changeOf), anew, more, completeUntil });
      assert.deepEqual(left.map((d) => [d.workspaceId, d.userId]).sort(), [...gone].sort(), `batch ${i}`);
      assert.equal(members.completeUntil, completeUntil);
      for (const workspace of ["org_1", "org_2"]) {
        assert.deepEqual(Object.fromEntries(members.of(workspace)), expected[workspace] ?? {}, `batch ${i}`);
        for (const user of ["user_1", "user_2", "user_3", "user_4"]) {
          assert.equal(members.role(workspace, user), expected[workspace]?.[user]);
        }
      }
    }
  });
}

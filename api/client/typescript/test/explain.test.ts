import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient, type Explanation, NotADecisionError } from "@callmine/rolecall";

import { fake, patientClient } from "./faults.js";

const check = { userId: "user_1", workspaceId: "org_1", permission: "billing:manage" };
const decision = { user_id: "user_1", workspace_id: "org_1", permission: "billing:manage", allowed: false, reason: "permission_missing", role: "org:member", revision: 7, as_of: null };
const change = { kind: "give_role", subject: "user_1", role: "org:admin", words: "give user_1 the role org:admin" };

test("explain returns the decision with its facts", async (t) => {
  const asked: unknown[] = [];
  const server = await fake(t, (request, response, body) => {
    asked.push([request.method, request.url, JSON.parse(body)]);
    response.end(JSON.stringify({
      decision,
      facts: [
        { fact: "role", holds: true, detail: "org:member", since: "2026-01-02T03:04:05Z", cause: "msg_1" },
        { fact: "grant", holds: false, detail: "no", since: null, cause: null },
        { fact: "freshness", holds: null, detail: "-", since: null, cause: null },
      ],
      change,
    }));
  });
  const explanation: Explanation = await patientClient({ url: server.url, token: "rcs_x", maxStaleness: 60 }).explain(check);
  assert.deepEqual(explanation, {
    decision: { ...check, allowed: false, reason: "permission_missing", role: "org:member", impersonator: "", revision: 7, asOf: null },
    facts: [
      { fact: "role", holds: true, detail: "org:member", since: new Date("2026-01-02T03:04:05Z"), cause: "msg_1" },
      { fact: "grant", holds: false, detail: "no", since: null, cause: "" },
      { fact: "freshness", holds: null, detail: "-", since: null, cause: "" },
    ],
    change,
  });
  assert.deepEqual(asked, [["POST", "/v1/explain", { user_id: "user_1", workspace_id: "org_1", permission: "billing:manage", max_staleness: 60 }]]);
});

test("explain refuses odd questions without asking", async () => {
  await assert.rejects(createClient({ url: "http://rolecall.test" }).explain(check), /token of a service/);
  const client = createClient({ url: "http://rolecall.test", token: "rcs_x", fetch: () => assert.fail("asked") });
  for (const odd of [{ ...check, userId: "" }, { ...check, workspaceId: "a\0" }, { ...check, permission: "" }]) {
    await assert.rejects(client.explain(odd), TypeError);
  }
});

test("explain rejects an answer that contradicts itself", async (t) => {
  const allowed = { ...decision, allowed: true, reason: "allowed" };
  for (const answer of [
    {}, [], { decision: { ...decision, user_id: "user_2" } }, { decision: { ...decision, allowed: true } }, { decision, facts: {} }, { decision, facts: [{}] },
    { decision: allowed, facts: [{ fact: "role", holds: false }] }, { decision, facts: [{ fact: "role", holds: 1 }] }, { decision, change: 1 },
  ]) {
    const server = await fake(t, (_, response) => response.end(JSON.stringify(answer)));
    await assert.rejects(patientClient({ url: server.url, token: "rcs_x" }).explain(check), NotADecisionError, JSON.stringify(answer));
  }
});

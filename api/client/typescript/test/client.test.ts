import assert from "node:assert/strict";
import { test } from "node:test";

import { AnswerError, type Check, createClient, type Decision, requirePermission } from "@callmine/rolecall";

import { deadUrl, fake, type Fake, patientClient } from "./faults.js";
import type { TestContext } from "node:test";

interface Asked {
  checks: { user_id: string; workspace_id: string; permission: string }[];
  refresh?: boolean;
  max_staleness?: number;
}

/** A Rolecall that admits user_1 and nobody else, and keeps the questions. */
async function rolecall(t: TestContext): Promise<Fake & { questions: Asked[] }> {
  const questions: Asked[] = [];
  const server = await fake(t, (_, response, body) => {
    const asked = JSON.parse(body) as Asked;
    questions.push(asked);
    const decisions = asked.checks.map((check) => {
      const allowed = check.user_id === "user_1";
      return { ...check, allowed, reason: allowed ? "allowed" : "not_a_member", role: allowed ? "org:admin" : null, revision: 7, as_of: "2026-01-02T03:04:05Z" };
    });
    response.end(JSON.stringify({ decisions }));
  });
  return Object.assign(server, { questions });
}

const check = (userId: string, workspaceId = "org_1", permission = "reports:read"): Check => ({ userId, workspaceId, permission });
const many = (n: number): Check[] => Array.from({ length: n }, (_, i) => check(i % 2 === 0 ? "user_1" : "user_2", `org_${i}`));

test("decide returns the decisions in their order", async (t) => {
  const server = await rolecall(t);
  const client = patientClient({ url: server.url + "/", token: "rcs_x", maxStaleness: 60 });
  const [first, second] = await client.decide([check("user_1"), check("user_2")]);
  const decision: Decision = {
    allowed: true, reason: "allowed", role: "org:admin", permission: "reports:read", workspaceId: "org_1", userId: "user_1", impersonator: "", revision: 7,
    asOf: new Date("2026-01-02T03:04:05Z"),
  };
  assert.deepEqual(first, decision);
  assert.deepEqual(second, { ...decision, allowed: false, reason: "not_a_member", role: "", userId: "user_2" });
  assert.deepEqual(server.questions, [{
    checks: [
      { user_id: "user_1", workspace_id: "org_1", permission: "reports:read" },
      { user_id: "user_2", workspace_id: "org_1", permission: "reports:read" },
    ],
    refresh: true,
    max_staleness: 60,
  }]);
});

test("calls of one tick share a request, up to 100 checks", async (t) => {
  const server = await rolecall(t);
  const client = patientClient({ url: server.url, token: "rcs_x" });
  const allowed = await Promise.all(many(100).map(async ({ userId, workspaceId, permission }) => {
    await undefined;
    return client.can({ userId }, workspaceId, permission);
  }));
  assert.deepEqual(allowed, many(100).map((c) => c.userId === "user_1"));
  assert.equal(server.asked, 1);

  assert.equal((await Promise.all(many(101).map((c) => client.decide([c])))).length, 101);
  assert.deepEqual(server.questions.map((q) => q.checks.length), [100, 100, 1]);
  assert.equal(server.questions[1]?.refresh, true);
  assert.equal(server.questions[1]?.max_staleness, undefined);

  const [a, b] = await Promise.all([client.decide(many(60)), client.decide(many(60))]);
  assert.deepEqual(a, b);
  assert.deepEqual(a?.map((d) => d.workspaceId), many(60).map((c) => c.workspaceId));
  assert.deepEqual(server.questions.map((q) => q.checks.length).slice(3), [60, 60], "the checks of one call stay together");

  await client.decide([check("user_1")]);
  await client.decide([check("user_1")]);
  assert.equal(server.asked, 7, "another tick asks again: nothing is remembered");

  const afterTwoAwaits = async () => {
    await undefined;
    await undefined;
    return client.can({ userId: "user_1" }, "org_1", "reports:read");
  };
  await Promise.all([client.can({ userId: "user_1" }, "org_2", "reports:read"), afterTwoAwaits()]);
  assert.equal(server.asked, 8);
});

test("a check that changes while it waits is asked about as it was", async (t) => {
  const server = await rolecall(t);
  const changing = { ...check("user_2") };
  const answer = patientClient({ url: server.url, token: "rcs_x" }).decide([changing]);
  changing.userId = "user_1" as never;
  assert.equal((await answer)[0]?.allowed, false);
});

test("a failed request rejects every call that shared it, and no later one", async (t) => {
  let up = false;
  const server = await fake(t, (_, response, body) => {
    response.statusCode = up ? 200 : 500;
    const { checks } = JSON.parse(body) as Asked;
    response.end(JSON.stringify({ decisions: checks.map((c) => ({ ...c, allowed: true, reason: "allowed" })) }));
  });
  const client = patientClient({ url: server.url, token: "rcs_x" });
  const settled = await Promise.allSettled([client.decide([check("user_1")]), client.decide([check("user_2")])]);
  for (const result of settled) {
    assert.equal(result.status, "rejected");
    assert.ok(result.reason instanceof AnswerError && result.reason.status === 500);
  }
  up = true;
  assert.equal((await client.decide([check("user_1")]))[0]?.allowed, true);
});

// 255 bytes are the most that Rolecall takes.
const longest = "org_" + "é".repeat(125) + "x";
const oddIds = (prefix: string): unknown[] => [
  "", prefix + "\0", prefix + "\ud800", "\udc00" + prefix, prefix + "a".repeat(256 - prefix.length), prefix + "é".repeat(126), prefix + "a".repeat(2 << 20),
  undefined, null, 7, {}, [prefix + "1"],
];

test("an odd id is a stranger's, and spoils no other check", async (t) => {
  const server = await rolecall(t);
  const failures: unknown[] = [];
  const client = patientClient({ url: server.url, token: "rcs_x", failed: (error) => failures.push(error) });
  const odd = [
    ...oddIds("org_").map((id) => ({ ...check("user_1"), workspaceId: id as string })),
    ...oddIds("user_").map((id) => ({ ...check("user_1"), userId: id as string })),
  ];
  const decisions = await client.decide(odd.flatMap((c, i) => [c, check("user_1", `org_${i}`)]));
  decisions.forEach((d, i) => {
    assert.equal(d.allowed, i % 2 === 1);
    assert.equal(d.reason, i % 2 === 1 ? "allowed" : "not_a_member");
    assert.equal(d.workspaceId, i % 2 === 1 ? `org_${(i - 1) / 2}` : odd[i / 2]?.workspaceId);
  });
  assert.equal(server.questions[0]?.checks.length, odd.length);

  for (const id of oddIds("org_")) {
    for (const sender of [{ userId: "user_1" }, { token: "user_1" }]) {
      const refused = await requirePermission(client, "reports:read", () => id as string, () => sender)(new Request("https://app.test/"));
      assert.equal(refused?.status, 404);
    }
  }
  for (const id of oddIds("user_")) {
    const refused = await requirePermission(client, "reports:read", () => "org_1", () => ({ userId: id as string }))(new Request("https://app.test/"));
    assert.equal(refused?.status, id === undefined || id === null || id === "" ? 401 : 404);
  }
  assert.equal(server.asked, 1, "nothing else was left to ask about");
  assert.deepEqual(failures, [], "an odd id is no outage");
  assert.equal(await client.can({ userId: "user_1" }, longest, "reports:read"), true);
});

test("an odd permission is a mistake of the program", async () => {
  const failures: unknown[] = [];
  const client = patientClient({ url: deadUrl, token: "rcs_x", failed: (error) => failures.push(error) });
  for (const permission of oddIds("reports:") as string[]) {
    await assert.rejects(client.decide([check("user_1"), { ...check("user_1"), permission }]), /permission must be/);
    assert.throws(() => requirePermission(client, permission, () => "org_1"), /permission must be/);
    assert.equal(await client.can({ token: "user_1" }, "org_1", permission), false);
    assert.match(String(failures.pop()), /permission must be/);
  }
});

test("decide takes 1 to 100 checks, and a service's token", async () => {
  const url = deadUrl;
  const client = patientClient({ url, token: "rcs_x" });
  await assert.rejects(client.decide([]), /0 checks, must be 1 to 100/);
  await assert.rejects(client.decide(many(101)), /101 checks/);
  await assert.rejects(patientClient({ url }).decide(many(1)), /no token/);
  assert.equal(await patientClient({ url }).can({ userId: "user_1" }, "org_1", "reports:read"), false);
});

test("the strongest proof of the sender counts", async (t) => {
  const methods: unknown[] = [];
  const server = await fake(t, (request, response) => {
    methods.push([request.method, request.headers.authorization, request.url]);
    response.statusCode = 500;
    response.end();
  });
  const client = patientClient({ url: server.url, token: "rcs_x", maxStaleness: 60 });
  await client.can({ headers: { authorization: "Bearer a" }, token: "b", userId: "user_1" } as never, "org_1&x=1", "reports:read");
  await client.can({ token: "b", userId: "user_1" } as never, "org_1", "reports:read");
  await client.can({ headers: {}, token: "b", userId: "user_1" } as never, "org_1", "reports:read");
  assert.deepEqual(methods, [
    ["GET", "Bearer a", "/v1/authorize?workspace_id=org_1%26x%3D1&permission=reports%3Aread&max_staleness=60"],
    ["GET", "Bearer b", "/v1/authorize?workspace_id=org_1&permission=reports%3Aread&max_staleness=60"],
  ]);
  for (const nobody of [undefined, null, "user_1", {}]) {
    assert.equal(await client.can(nobody as never, "org_1", "reports:read"), false);
  }
  assert.equal(server.asked, 2);
});

test("a refusal that is the program's own fault is reported, and the sender hears of an ordinary one", async (t) => {
  for (const [reason, status, told, reported] of [
    ["unknown_permission", 403, "permission_missing", 1],
    ["workspace_not_listed", 404, undefined, 1],
    ["permission_missing", 403, "permission_missing", 0],
    ["not_a_member", 404, undefined, 0],
  ] as const) {
    const server = await fake(t, (_, response, body) => {
      const { checks } = JSON.parse(body) as Asked;
      response.end(JSON.stringify({ decisions: checks.map((c) => ({ ...c, allowed: false, reason })) }));
    });
    const failures: unknown[] = [];
    const client = patientClient({ url: server.url, token: "rcs_x", failed: (error) => failures.push(error) });
    const refused = await requirePermission(client, "reports:read", () => "org_1", () => ({ userId: "user_1" }))(new Request("https://app.test/"));
    assert.equal(refused?.status, status);
    assert.equal(((await refused.json()) as { reason?: string }).reason, told);
    assert.equal(await client.can({ userId: "user_1" }, "org_1", "reports:read"), false);
    assert.equal(failures.length, 2 * reported, "by the guard, and by can");
    assert.ok(failures.every((error) => error instanceof AnswerError && error.reason === reason));
  }
});

test("an ended session is told, and a decision names the impersonator", async (t) => {
  let ended = true;
  const server = await fake(t, (_, response) => {
    response.statusCode = ended ? 401 : 200;
    const decision = { ...check("user_1"), allowed: true, reason: "allowed", user_id: "user_1", workspace_id: "org_1", impersonator: "user_2" };
    response.end(JSON.stringify(ended ? { type: "urn:rolecall:problem:session-ended", title: "x", status: 401 } : decision));
  });
  const client = patientClient({ url: server.url });
  const refused = await requirePermission(client, "reports:read", () => "org_1", () => ({ token: "user_1" }))(new Request("https://app.test/"));
  assert.equal(((await refused?.json()) as { type: string }).type, "urn:rolecall:problem:session-ended");
  ended = false;
  assert.equal((await client.admit({ token: "user_1" }, "org_1", "reports:read")).impersonator, "user_2");
});

test("a header of blanks is read in no time", async () => {
  const client = patientClient({ url: deadUrl });
  const headers = { authorization: "Bearer x" + " ".repeat(8000) + "x" };
  const before = process.cpuUsage();
  for (let i = 0; i < 20; i++) {
    assert.equal(await client.can({ headers }, "org_1", "reports:read"), false);
  }
  assert.ok(process.cpuUsage(before).user < 500_000, "microseconds: an expression that backtracks takes six times as long");
});

// A look-up at Clerk may take a second.
test("a decision has two seconds and two tries, unless configured", async (t) => {
  const timers = t.mock.method(globalThis, "setTimeout");
  let asked = 0;
  const down: typeof fetch = async (_, init) => {
    asked++;
    assert.ok(init?.signal);
    assert.equal(init.cache, "no-store", "a framework may cache what fetch gets");
    throw new TypeError("no network");
  };
  await assert.rejects(createClient({ url: "http://rolecall.test", token: "rcs_x", fetch: down }).decide([check("user_1")]), /no network/);
  assert.equal(asked, 2);
  const times = timers.mock.calls.map((call) => call.arguments[1]);
  assert.ok(times.includes(2000) && times.includes(50), String(times));
});

test("a configuration is checked", () => {
  for (const [config, message] of [
    [{}, /url must be/],
    [{ url: "rolecall:8080" }, /url must be/],
    [{ url: "ftp://rolecall" }, /url must be/],
    [{ url: "http://" }, /url must be/],
    [{ url: "http:rolecall" }, /url must be/],
    [{ url: "http://[" }, /url must be/],
    [{ url: "http://rolecall?x=1" }, /without a query/],
    [{ url: "http://rolecall#x" }, /url must be/],
    [{ url: "http://user:secret@rolecall" }, /no user name or password/],
    [{ url: "http://rolecall/v1" }, /path of the API/],
    [{ url: "http://rolecall/v1/" }, /path of the API/],
    [{ url: "http://rolecall/v1/authorize" }, /path of the API/],
    [{ url: "http://rolecall", token: "x" }, /token must begin with rcs_/],
    [{ url: "http://rolecall", token: "rcs_x\n" }, /token must begin with rcs_/],
    [{ url: "http://rolecall", timeout: 0 }, /timeout must be/],
    [{ url: "http://rolecall", timeout: Infinity }, /timeout must be/],
    [{ url: "http://rolecall", timeout: 2 ** 31 }, /timeout must be/],
    [{ url: "http://rolecall", retries: -1 }, /retries must be/],
    [{ url: "http://rolecall", retries: 0.5 }, /retries must be/],
    [{ url: "http://rolecall", maxStaleness: 0 }, /maxStaleness must be/],
    [{ url: "http://rolecall", maxStaleness: 1.5 }, /maxStaleness must be/],
    [{ url: "", token: "secret", timeout: -1 }, /url must be.*token must.*timeout must/],
  ] as [never, RegExp][]) {
    assert.throws(() => createClient(config), (error: Error) => message.test(error.message) && !error.message.includes("secret"));
  }
  for (const url of ["https://rolecall.internal:8080/", "https://gateway.internal/rolecall"]) {
    patientClient({ url });
  }
  assert.throws(() => requirePermission(patientClient({ url: "http://rolecall" }), "reports:read", undefined as never), /needs a function/);
});

test("a request's id is passed on if it is sane, and an error has the answer's", async (t) => {
  const ids: (string | undefined)[] = [];
  const server = await fake(t, (request, response) => {
    ids.push(request.headers["x-request-id"] as string | undefined);
    response.writeHead(418, { "X-Request-Id": "of-the-answer" }).end();
  });
  const client = patientClient({ url: server.url });
  for (const id of ["one-1", "two words"]) {
    const headers = { authorization: "Bearer user_1", "x-request-id": id };
    await assert.rejects(client.admit({ headers }, "org_1", "reports:read"), (error) => {
      assert(error instanceof AnswerError);
      assert.equal(error.requestId, "of-the-answer");
      assert.match(error.message, /answered 418, request of-the-answer$/);
      return true;
    });
  }
  assert.deepEqual(ids, ["one-1", undefined]);
});

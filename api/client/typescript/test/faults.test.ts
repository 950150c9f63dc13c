import assert from "node:assert/strict";
import { createServer, type IncomingMessage, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import { type Client, type Config, decisionOf, express, requirePermission, type Sender } from "@callmine/rolecall";

import { fake, type Fault, faulty, patientClient, table, write } from "./faults.js";

const permission = "reports:read";
const workspace = () => "org_1";

/** Lets a client ask a server with the fault. */
async function serve(t: TestContext, fault: Fault, question: (client: Client) => Promise<number>): Promise<void> {
  const elsewhere = await fake(t, (request, response) => write({ admits: true }, request, response, ""));
  const server = await faulty(t, fault, elsewhere.url);
  const failures: unknown[] = [];
  const { timeout, retries = 1 } = fault;
  const config: Config = { url: server.url, token: "rcs_reports", timeout, retries: Math.max(retries, 0), failed: (error) => failures.push(error) };
  const status = await question(patientClient(config));
  assert.equal(elsewhere.asked, 0, "a redirect is followed");
  if (fault.asked !== undefined) {
    assert.equal(server.asked, fault.asked, "requests");
  }
  const reported = status === 503 || (fault.reported === true && status !== 200);
  assert.equal(failures.length, reported ? 1 : 0, "failed is called for a 503 and what the table says, and for nothing else");
}

/** Asks with a guard, and requires its answer. */
async function requireGuard(client: Client, sender: Sender | undefined, status: number): Promise<number> {
  const request = new Request("https://app.test/", { headers: { Authorization: "Bearer user_1" } });
  const guard = sender === undefined ? requirePermission(client, permission, workspace) : requirePermission(client, permission, workspace, () => sender);
  const refused = await guard(request);
  if (status === 200) {
    assert.equal(refused, undefined);
    assert.equal(decisionOf(request)?.allowed, true);
  } else {
    await requireRefused(refused, status);
    assert.equal(decisionOf(request), undefined);
  }
  return status;
}

/** Requires a problem with the status. */
async function requireRefused(refused: Response | undefined, status: number): Promise<void> {
  assert.ok(refused, "it got through");
  assert.equal(refused.status, status);
  assert.equal(refused.headers.get("Content-Type"), "application/problem+json");
  assert.equal(refused.headers.get("Cache-Control"), "no-store");
  assert.equal(refused.headers.get("WWW-Authenticate"), status === 401 ? "Bearer" : null);
  assert.equal(refused.headers.get("Retry-After"), status === 503 ? "1" : null);
  const problem = (await refused.json()) as { type: string; status: number };
  assert.equal(problem.status, status);
  assert.match(problem.type, /^urn:rolecall:problem:/);
}

// Only the decision that was asked for admits, and only Rolecall's own refusal is one.
for (const fault of table.faults) {
  const { own = 503, service = 503 } = fault;
  test(`fails closed: ${fault.name}`, { concurrency: true }, async (t) => {
    await serve(t, fault, (client) => requireGuard(client, undefined, own));
    await serve(t, fault, (client) => requireGuard(client, { token: "user_1" }, own));
    await serve(t, fault, (client) => requireGuard(client, { userId: "user_1" }, service));
    await serve(t, fault, async (client) => {
      assert.equal(await client.can({ token: "user_1" }, "org_1", permission), own === 200);
      return own;
    });
    await serve(t, fault, async (client) => {
      assert.equal(await client.can({ userId: "user_1" }, "org_1", permission), service === 200);
      return service;
    });
    await serve(t, fault, async (client) => {
      const answer = await client.decide([{ userId: "user_1", workspaceId: "org_1", permission }]).catch((error: unknown) => {
        assert.ok(error instanceof Error);
        return undefined;
      });
      assert.equal(answer?.[0]?.allowed ?? false, service === 200);
      if (answer?.[0]?.reason !== "stale") { // decide returns it as the decision that it is
        assert.equal(answer === undefined, service === 503);
      }
      return 200; // decide leaves it to its caller to report an error
    });
  });
}

test("a fetch that heeds no signal is late, too", async () => {
  const failures: unknown[] = [];
  let signal: AbortSignal | null | undefined;
  const deaf: typeof fetch = (_, init) => {
    signal = init?.signal;
    return new Promise(() => {});
  };
  const client = patientClient({ url: "https://rolecall.test", timeout: 20, fetch: deaf, failed: (error) => failures.push(error) });
  assert.equal(await client.can({ token: "user_1" }, "org_1", permission), false);
  assert.match(String(failures), /LateError: no decision within 20 ms/);
  assert.equal(signal?.aborted, true, "the request goes on");
});

test("requests without a session token are refused, and Rolecall isn't asked", async (t) => {
  const rolecall = await fake(t, (request, response) => write({ admits: true }, request, response, ""));
  const client = patientClient({ url: rolecall.url, token: "rcs_reports" });
  const guard = requirePermission(client, permission, workspace);
  const middleware = express<IncomingMessage>(requirePermission(client, permission, workspace));
  const app = createServer((request, response) => void middleware(request, response, () => response.end()));
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    app.close();
    app.closeAllConnections();
  });
  const { port } = app.address() as AddressInfo;

  const tooLong = ["Authorization", "Bearer ".padEnd((8 << 10) + 1, "a")];
  const odd = ["Authorization", "Bearer user_1 user_2"];
  for (const flat of [...table.no_token, tooLong, odd]) {
    const headers = flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1]] as [string, string]] : []));
    await requireRefused(await guard(new Request("https://app.test/", { headers })), 401);
    const status = await new Promise((resolve, reject) => {
      send({ port, host: "127.0.0.1", headers: ["Host", "app.test", ...flat] as never }, (response) => resolve(response.resume().statusCode)).on("error", reject).end();
    });
    assert.equal(status, 401, flat.join(": "));
    await requireRefused(await guard({ headers: { authorization: headers.map(([, value]) => value) } } as never), 401);
  }
  for (const token of [undefined, null, "", "rcs_reports", "a b", "a,b", "é", "a".repeat((8 << 10) + 1), 7, ["user_1"]]) {
    assert.equal(await client.can({ token } as never, "org_1", permission), false);
  }
  assert.equal(rolecall.asked, 0);
  for (const headers of [{ authorization: "bearer user_1" }, { AUTHORIZATION: "Bearer  user_1 " }, { authorization: ["Bearer user_1"] }]) {
    assert.equal(await client.can({ headers }, "org_1", permission), true, "a scheme and a name have no case");
  }
});

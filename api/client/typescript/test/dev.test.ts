import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";

import { Problem } from "@callmine/rolecall";

import { patientClient } from "./faults.js";

// `make typescript` builds it. This file is in build/test when it runs.
const binary = fileURLToPath(new URL("../../../../../bin/rolecall", import.meta.url));

/** The people, and the address, of a running `rolecall dev`. */
interface Dev {
  url: string;
  workspace: string;
  member: string;
  tokens: { admin: string; member: string; stranger: string; service: string };
  removal: { url: string; secret: string };
}

/** Starts `rolecall dev` in an empty folder, for as long as the test, and reads the variables that it writes. */
async function start(t: TestContext): Promise<Dev> {
  const folder = mkdtempSync(join(tmpdir(), "rolecall-"));
  const { DATABASE_URL: _, ...env } = process.env;
  const file = join(folder, "dev.env");
  const addresses = ["--listen", "--admin", "--playground", "--simulator"].flatMap((flag) => [flag, "127.0.0.1:0"]);
  const child = spawn(binary, ["dev", ...addresses, "--data", join(folder, "postgres"), "--env-file", file], { cwd: folder, env });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true });
  });
  let printed = "";
  let errors = "";
  child.stderr.on("data", (part) => (errors += part));
  await new Promise<void>((resolve, reject) => {
    ended.then(([code]) => reject(new Error(`rolecall dev ended with ${code}: ${errors}`)), reject);
    child.stdout.on("data", (part) => {
      printed += part;
      if (printed.includes("Ctrl-C ends everything")) {
        resolve();
      }
    });
  });
  const written = readFileSync(file, "utf8");
  const variable = (name: string): string => {
    const found = new RegExp(`^${name}=(.*)$`, "m").exec(written)?.[1];
    assert.ok(found, `${name} isn't in what dev wrote:\n${written}`);
    return found;
  };
  const workspace = variable("DEMO_NORTHWIND_ID");
  const member = variable("DEMO_MEMBER_ID");
  return {
    url: variable("ROLECALL_URL"),
    workspace,
    member,
    tokens: {
      admin: variable("DEMO_ADMIN_TOKEN"),
      member: variable("DEMO_MEMBER_TOKEN"),
      stranger: variable("DEMO_STRANGER_TOKEN"),
      service: variable("ROLECALL_SERVICE_TOKEN"),
    },
    removal: {
      url: `${variable("CLERK_API_URL")}/v1/organizations/${workspace}/memberships/${member}`,
      secret: variable("CLERK_SECRET_KEY"),
    },
  };
}

test("the client and its examples ask a running Rolecall", { timeout: 120_000 }, async (t) => {
  const dev = await start(t);
  const { tokens, workspace } = dev;
  const failures: unknown[] = [];
  const rolecall = patientClient({ url: dev.url, token: tokens.service, failed: (error) => failures.push(error) });
  const token = (token: string) => ({ headers: new Headers({ Authorization: `Bearer ${token}` }) });

  await t.test("by the users' own tokens", async () => {
    assert.equal(await rolecall.can(token(tokens.admin), workspace, "billing:manage"), true);
    assert.equal(await rolecall.can({ token: tokens.member }, workspace, "reports:read"), true);
    for (const [sender, status, reason] of [[tokens.member, 403, "permission_missing"], [tokens.stranger, 404], ["x.y.z", 401]] as const) {
      const isProblem = (error: unknown) => error instanceof Problem && error.status === status && error.reason === reason;
      await assert.rejects(rolecall.admit({ token: sender }, workspace, "billing:manage"), isProblem);
    }
  });

  await t.test("as a service", async () => {
    const checks = ["reports:read", "billing:manage"].map((permission) => ({ userId: dev.member, workspaceId: workspace, permission }));
    const decisions = await rolecall.decide([...checks, { userId: "user_none", workspaceId: workspace, permission: "reports:read" }]);
    assert.deepEqual(decisions.map((d) => d.reason), ["allowed", "permission_missing", "not_a_member"]);
    assert.equal(decisions[0]?.role, "org:member");
    assert.ok(decisions[0].asOf instanceof Date && decisions[0].revision > 0);
  });

  await t.test("a service that Rolecall refuses admits nobody", async () => {
    const refused = patientClient({ url: dev.url, token: "rcs_wrong", failed: (error) => failures.push(error) });
    assert.equal(await refused.can({ userId: dev.member }, workspace, "reports:read"), false);
    assert.match(String(failures.pop()), /rolecall answered 401/);
  });

  process.env.ROLECALL = dev.url;
  const { app } = await import("../examples/express.js");
  const { GET } = await import("../examples/next/app/workspaces/[workspace]/report/route.js");
  const server = createServer(app);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const path = `http://127.0.0.1:${(server.address() as AddressInfo).port}/workspaces/${workspace}/report`;
  const apps = {
    Express: (token: string) => fetch(path, { headers: { Authorization: token } }),
    "Next.js": (token: string) => GET(new Request(path, { headers: { Authorization: token } }), { params: Promise.resolve({ workspace }) }),
  };

  for (const [name, ask] of Object.entries(apps)) {
    await t.test(`the example for ${name} admits and refuses`, async () => {
      const admitted = await ask(`Bearer ${tokens.member}`);
      assert.equal(admitted.status, 200);
      assert.deepEqual(await admitted.json(), { hello: dev.member });
      assert.equal((await ask(`Bearer ${tokens.stranger}`)).status, 404);
      assert.equal((await ask("Bearer x.y.z")).status, 401);
      assert.equal((await ask(`Bearer ${tokens.service}`)).status, 401, "a service's token could name any user");
    });
  }

  const { closeSockets } = await import("../examples/sockets.js");
  process.env.ROLECALL_SERVICE_TOKEN = tokens.service;
  const stop = new AbortController();
  let closed = () => {};
  const memberClosed = new Promise<void>((resolve) => (closed = resolve));
  let caughtUp = () => {};
  const waits = new Promise<void>((resolve) => (caughtUp = resolve));
  const send = globalThis.fetch;
  t.mock.method(globalThis, "fetch", (...question: Parameters<typeof fetch>) => {
    if (String(question[0]).includes("wait=15")) { // it has caught up
      caughtUp();
    }
    return send(...question);
  });
  const close = (left: string, userId: string) => (left === workspace && userId === dev.member ? closed() : undefined); // others have left before
  const following = closeSockets(close, stop.signal);
  await Promise.race([waits, following]);

  await t.test("a member removed at Clerk is refused, and the sockets are closed", async () => {
    const removed = await fetch(dev.removal.url, { method: "DELETE", headers: { Authorization: `Bearer ${dev.removal.secret}` } });
    assert.equal(removed.status, 200);
    while (await rolecall.can({ userId: dev.member }, workspace, "reports:read")) {
      // the webhook is on its way
    }
    for (const ask of Object.values(apps)) {
      assert.equal((await ask(`Bearer ${tokens.member}`)).status, 404);
    }
    await memberClosed;
    stop.abort();
    await assert.rejects(following, { name: "AbortError" });
  });
  assert.deepEqual(failures, []);
});

import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import { decisionOf, express, protect, requirePermission } from "@callmine/rolecall";
import createApp, { type NextFunction, type Request as ExpressRequest, type Response as ExpressResponse } from "express";

import { fake, patientClient, write } from "./faults.js";

type Handler = (request: IncomingMessage, response: never) => unknown;

async function listen(t: TestContext, handler: Handler): Promise<string> {
  const server = createServer(handler as never);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const bearer = { headers: { Authorization: "Bearer user_1" } };

test("an Express app admits and refuses", async (t) => {
  const rolecall = await fake(t, (request, response) => write({ admits: true }, request, response, ""));
  const client = patientClient({ url: rolecall.url });
  const app = createApp();
  const guard = requirePermission(client, "reports:read", (request: ExpressRequest) => request.params["workspace"]);
  let handled = 0;
  app.all("/:workspace/report", express(guard), (request, response) => {
    handled++;
    response.json(decisionOf(request)?.userId);
  });
  const url = await listen(t, app);

  const admitted = await fetch(url + "/org_1/report", bearer);
  assert.equal(admitted.status, 200);
  assert.equal(await admitted.json(), "user_1");
  assert.equal(handled, 1);

  for (const method of ["GET", "HEAD", "POST"]) {
    const refused = await fetch(url + "/org_1/report", { method });
    assert.equal(refused.status, 401);
    assert.equal(refused.headers.get("Content-Type"), "application/problem+json");
    assert.equal(refused.headers.get("WWW-Authenticate"), "Bearer");
    assert.equal(refused.headers.get("Cache-Control"), "no-store");
    const body = method === "HEAD" ? "" : '{"type":"urn:rolecall:problem:unauthenticated","title":"No usable token","status":401}';
    assert.equal(await refused.text(), body);
  }
  assert.equal(handled, 1, "a refused request reached the handler");
});

// Without the adapter's care, Express 4 would let such a request hang.
test("a function that throws is an error of the app, and admits nobody", async (t) => {
  const client = patientClient({ url: "http://127.0.0.1:1" });
  const broken = (): string => {
    throw new Error("broken");
  };
  const app = createApp();
  app.get("/workspace", express(requirePermission<ExpressRequest>(client, "reports:read", broken)), (_, response) => void response.end());
  app.get("/sender", express(requirePermission<ExpressRequest>(client, "reports:read", () => "org_1", broken as never)), (_, response) => void response.end());
  app.use((error: Error, _: ExpressRequest, response: ExpressResponse, _next: NextFunction) => void response.status(500).end(error.message));
  const url = await listen(t, app);
  for (const path of ["/workspace", "/sender"]) {
    const answer = await fetch(url + path, bearer);
    assert.deepEqual([answer.status, await answer.text()], [500, "broken"]);
  }
  await assert.rejects(requirePermission(client, "reports:read", broken)(new Request(url)), /broken/);

  const passed: unknown[] = [];
  await express(() => Promise.reject(new Error("broken")))({ headers: {} }, {} as never, (error) => passed.push(String(error)));
  assert.deepEqual(passed, ["Error: broken"], "next hears of it once");
});

test("protect runs the handler behind an admitting guard alone", async () => {
  const handler = (_: Request, n: number) => new Response(`handled ${n}`);
  const admitting = protect(async (_: Request, _n: number) => undefined, handler);
  assert.equal(await (await admitting(new Request("https://app.test/"), 7)).text(), "handled 7");
  const refusing = protect(async (_: Request, _n: number) => new Response("refused", { status: 403 }), handler);
  assert.equal(await (await refusing(new Request("https://app.test/"), 7)).text(), "refused");
});

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test, type TestContext } from "node:test";

import { AnswerError, type Batch, type Config, createClient, CursorExpiredError, type FollowOptions } from "@callmine/rolecall";

import { fake, patientClient } from "./faults.js";

/** One answer of a server in Rolecall's place. follow.json explains its members. */
interface Answer {
  status?: number;
  body?: string;
  json?: Record<string, unknown>;
  problem?: unknown;
  header?: [string, string];
  pad?: number;
  page?: boolean;
  location?: boolean;
  close?: boolean;
  cut?: boolean;
}

interface Fault {
  name: string;
  answers: Answer[];
  ends?: "refused" | "expired";
  quiet?: boolean;
}

/** The table that the Go client's tests read, too. This file is in build/test when it runs. */
const { faults }: { faults: Fault[] } = JSON.parse(readFileSync(new URL("../../../testdata/follow.json", import.meta.url), "utf8"));

const emptyPage = { data: [], next_cursor: "c2", complete_until: "2026-01-02T03:05:00Z" };

/** The server's own answer: the changes after the cursor, two at most, with the given members. */
function pageAfter(request: IncomingMessage, changed: object = {}): string {
  const query = new URL(request.url ?? "", "http://x").searchParams;
  const after = Number(query.get("after")?.slice(1) ?? 0);
  const numbers = [1, 2, 3].filter((n) => n > after).slice(0, Number(query.get("limit")));
  const page = {
    data: numbers.map((n) => ({
      cursor: `c${n}`, at: `2026-01-02T03:04:0${n}.5Z`, workspace_id: "org_1", kind: "member.removed", user_id: `user_${n}`,
      membership_id: `orgmem_${n}`, role: "org:member", revision: n, cause: "msg_1", of_a_later_version: {},
    })),
    next_cursor: `c${after + numbers.length}`,
    complete_until: "2026-01-02T03:05:00Z",
  };
  return JSON.stringify({ ...page, ...changed }).replaceAll('"AFTER"', JSON.stringify(query.get("after")));
}

function write(answer: Answer, request: IncomingMessage, response: ServerResponse, elsewhere: string): void {
  if (answer.close) {
    request.socket.destroy();
    return;
  }
  const json = answer.problem ?? answer.json;
  const own = json === undefined ? (answer.body ?? "") : JSON.stringify(json);
  const body = (answer.page ? pageAfter(request, answer.json) : own) + " ".repeat(answer.pad ?? 0);
  response.statusCode = answer.status ?? 200;
  if (answer.header) {
    response.setHeader(...answer.header);
  }
  if (answer.problem !== undefined) {
    response.setHeader("Content-Type", "application/problem+json");
  }
  if (answer.location) {
    response.setHeader("Location", elsewhere);
  }
  if (!answer.cut) {
    response.end(body);
    return;
  }
  response.setHeader("Content-Length", String(body.length + 1000));
  response.write(body, () => request.socket.end());
}

/** Follows until change 3, and returns the cursors of the changes. */
async function receive(t: TestContext, config: Config, options: FollowOptions): Promise<{ cursors: string[]; error: unknown }> {
  const cursors: string[] = [];
  const end = new AbortController();
  t.after(() => end.abort());
  try {
    for await (const batch of patientClient(config).follow({ signal: end.signal, ...options })) {
      cursors.push(...batch.changes.map((c) => c.cursor));
      if (batch.cursor === "c3") {
        break;
      }
    }
  } catch (error) {
    return { cursors, error };
  }
  return { cursors, error: undefined };
}

for (const fault of faults) {
  for (const befalls of [0, 1]) {
    test(`follow loses and repeats nothing: ${fault.name} befalls question ${befalls}`, { concurrency: true }, async (t) => {
      const elsewhere = await fake(t, (request, response) => response.end(pageAfter(request)));
      const asked: string[] = [];
      const server = await fake(t, (request, response) => {
        const answer = fault.answers[asked.length - befalls];
        asked.push(new URL(request.url ?? "", "http://x").searchParams.get("after") ?? "");
        if (answer === undefined) {
          response.end(pageAfter(request));
        } else {
          write(answer, request, response, elsewhere.url);
        }
      });
      const failures: unknown[] = [];
      const config = { url: server.url, token: "rcs_reports" };
      const { cursors, error } = await receive(t, config, { after: "c0", limit: 2, failed: (failure) => failures.push(failure) });

      assert.deepEqual(cursors, fault.ends === undefined ? ["c1", "c2", "c3"] : ["c1", "c2"].slice(0, 2 * befalls));
      assert.equal(elsewhere.asked, 0, "a redirect is followed");
      assert.deepEqual([...asked].sort(), asked);
      const told = fault.quiet ? 0 : fault.answers.length;
      assert.equal(failures.length, fault.ends === undefined ? told : told - 1, String(failures));
      const expected = { refused: AnswerError, expired: CursorExpiredError };
      if (fault.ends === undefined) {
        assert.equal(error, undefined);
      } else {
        assert.ok(error instanceof expected[fault.ends], String(error));
      }
    });
  }
}

test("follow starts anew only if it may, and then says so", async (t) => {
  const expired: Answer = { status: 410, problem: { type: "urn:rolecall:problem:cursor-expired" } };
  const server = await fake(t, (request, response) => {
    if (request.url?.includes("after=c77")) {
      write(expired, request, response, "");
    } else {
      response.end(pageAfter(request));
    }
  });
  const config = { url: server.url, token: "rcs_reports" };
  assert.ok((await receive(t, config, { after: "c77" })).error instanceof CursorExpiredError);
  for (const options of [{ after: "c77", startAnew: true }, {}]) {
    const seen: [string, boolean, boolean][] = [];
    for await (const { cursor, anew, more } of createClient(config).follow({ limit: 2, ...options })) {
      seen.push([cursor, anew, more]);
      if (!more) {
        break;
      }
    }
    assert.deepEqual(seen, [["c2", true, true], ["c3", false, false]]);
  }
  const places: (string | null)[] = [];
  const latest = await fake(t, (request, response) => {
    places.push(new URL(request.url ?? "", "http://x").searchParams.get("after"));
    if (places.length === 2) {
      write(expired, request, response, "");
    } else {
      response.end(JSON.stringify({ data: [], next_cursor: "c2", complete_until: "2026-01-02T03:05:00Z" }));
    }
  });
  for await (const { anew } of createClient({ ...config, url: latest.url }).follow({ after: "latest", startAnew: true })) {
    assert.equal(anew, true);
    if (places.length === 3) {
      break;
    }
  }
  assert.deepEqual(places, ["latest", "c2", "latest"]);
  const never = await fake(t, (request, response) => write(expired, request, response, ""));
  const { error } = await receive(t, { url: never.url, token: "rcs_reports" }, { after: "c77", startAnew: true });
  assert.ok(error instanceof CursorExpiredError);
  assert.equal(never.asked, 2);
});

test("follow hands over what the feed says", async (t) => {
  const queries: unknown[] = [];
  const server = await fake(t, (request, response) => {
    queries.push([request.method, request.url, request.headers.authorization]);
    if (queries.length === 2) {
      response.end(JSON.stringify(emptyPage));
      return;
    }
    response.end(JSON.stringify({
      data: [{
        cursor: "c1", at: "2026-01-02T03:04:05.678Z", workspace_id: null, kind: "user.restored", target: "user_1", user_id: "user_1", membership_id: null, role: null,
        revision: null, cause: "msg_1", deleted: false, banned: true,
      }],
      next_cursor: "c2", complete_until: "2026-01-02T03:05:00Z",
    }));
  });
  const followed = createClient({ url: server.url, token: "rcs_reports" }).follow({ after: "a b&c", workspaceId: "org_1", wait: 7 });
  const { value } = await followed.next();
  const expected: Batch = {
    changes: [{
      cursor: "c1", at: new Date("2026-01-02T03:04:05.678Z"), workspaceId: "", kind: "user.restored", target: "user_1", userId: "user_1", membershipId: "", role: "",
      revision: 0, cause: "msg_1", deleted: false, banned: true, deprovisioned: null,
    }],
    cursor: "c2", completeUntil: new Date("2026-01-02T03:05:00Z"), more: false, anew: false,
  };
  assert.deepEqual(value, expected);
  await followed.next();
  await followed.return(undefined as never);
  assert.deepEqual(queries, [
    ["GET", "/v1/changes?limit=200&wait=0&after=a+b%26c&workspace_id=org_1", "Bearer rcs_reports"],
    ["GET", "/v1/changes?limit=200&wait=7&after=c2&workspace_id=org_1", "Bearer rcs_reports"],
  ]);
});

test("follow refuses odd options without asking", async (t) => {
  const config = { url: "http://rolecall.test", token: "rcs_x", fetch: () => assert.fail("asked") };
  for (const odd of [{ limit: 0 }, { limit: 201 }, { limit: 1.5 }, { wait: 0 }, { wait: 61 }, { workspaceId: "" }, { workspaceId: "a\0" }, { after: 7 as never }]) {
    const { error } = await receive(t, config, odd);
    assert.ok(error instanceof TypeError || error instanceof RangeError, JSON.stringify(odd));
  }
  assert.match(String((await receive(t, { url: "http://rolecall.test" }, {})).error), /token of a service/);
});

test("follow ends with its signal, whatever it waits for", async (t) => {
  const silent = await fake(t, () => {});
  const refusing = await fake(t, (_, response) => response.writeHead(503, { "Retry-After": "60" }).end());
  for (const server of [silent, refusing]) {
    const end = new AbortController();
    const reason = new Error("the program stops");
    const followed = createClient({ url: server.url, token: "rcs_x" }).follow({ signal: end.signal, failed: () => end.abort(reason) });
    const next = followed.next();
    if (server === silent) {
      while (server.asked === 0) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      end.abort(reason);
    }
    await assert.rejects(next, reason);
  }
  const ended = createClient({ url: silent.url, token: "rcs_x" }).follow({ signal: AbortSignal.abort() });
  await assert.rejects(ended.next(), { name: "AbortError" });
});

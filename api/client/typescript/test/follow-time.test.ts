import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { createClient } from "@callmine/rolecall";

// These tests replace the clock of their process, in which nothing but the follower needs it.

/** Runs with a clock that each timer moves forward, and returns the moments at which it was asked. */
async function timed(t: TestContext, questions: number, answer: () => Promise<Response>): Promise<{ asked: number[]; failures: unknown[] }> {
  let now = 0;
  t.mock.method(performance, "now", () => now);
  t.mock.method(globalThis, "setTimeout", (done: () => void, milliseconds: number) => {
    let cleared = false;
    setImmediate(() => setImmediate(() => {
      if (!cleared) {
        now += milliseconds;
        done();
      }
    }));
    return { clear: () => (cleared = true) };
  });
  t.mock.method(globalThis, "clearTimeout", (timer?: { clear: () => void }) => timer?.clear());
  const asked: number[] = [];
  const failures: unknown[] = [];
  const end = new AbortController();
  const ask: typeof fetch = () => {
    asked.push(now);
    if (asked.length === questions) {
      end.abort(new Error("enough"));
    }
    return answer();
  };
  const client = createClient({ url: "http://rolecall.test", token: "rcs_x", fetch: ask });
  const follow = async () => {
    for await (const _ of client.follow({ after: "c0", signal: end.signal, failed: (error) => failures.push(error) })) {
      // only the times count
    }
  };
  await assert.rejects(follow(), /enough/);
  t.mock.restoreAll();
  return { asked, failures };
}

const emptyPage = { data: [], next_cursor: "c0", complete_until: "2026-01-02T03:05:00Z" };

test("follow gives a silent server up, also with a fetch that heeds no signal", async (t) => {
  let first = true;
  const { asked, failures } = await timed(t, 4, () => {
    const answer = first ? Promise.resolve(Response.json(emptyPage)) : new Promise<Response>(() => {});
    first = false;
    return answer;
  });
  assert.equal(asked[1], 0);
  assert.ok(Math.abs((asked[2] ?? 0) - 25_000) < 100, String(asked));
  assert.match(String(failures[0]), /no whole answer within 25000 ms/);
});

test("follow spares a server that is away, or doesn't wait", async (t) => {
  const away = await timed(t, 50, () => Promise.reject(new TypeError("fetch failed")));
  assert.ok((away.asked[1] ?? 0) <= 50);
  assert.ok((away.asked[49] ?? 0) - (away.asked[40] ?? 0) > 8000, String(away.asked));
  const hasty = await timed(t, 50, async () => Response.json(emptyPage));
  assert.deepEqual(hasty.failures, []);
  assert.ok((hasty.asked[49] ?? 0) - (hasty.asked[40] ?? 0) > 8000, String(hasty.asked));
  for (const [header, rest] of [["7", 7000], ["100000", 60_000], ["Fri, 31 Dec 2100 00:00:00 GMT", 60_000], ["-7", 50], ["soon", 50]] as const) {
    const { asked } = await timed(t, 2, async () => new Response("", { status: 503, headers: { "Retry-After": header } }));
    assert.ok((asked[1] ?? 0) <= rest && (asked[1] ?? 0) >= rest / 2, `${header}: ${asked}`);
  }
});

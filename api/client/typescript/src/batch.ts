import { type Check, type Decision, maxChecks } from "./decision.js";

interface Batch {
  readonly checks: Check[];
  readonly answer: Promise<Decision[]>;
}

/**
 * Returns a function that asks about checks. Calls of one tick share a request, as long as it has
 * room for all of a call's checks: those are decided as of one moment.
 */
export function batched(send: (checks: Check[]) => Promise<Decision[]>): (checks: readonly Check[]) => Promise<Decision[]> {
  let open: Batch | undefined;
  const begin = (): Batch => {
    const checks: Check[] = [];
    const answer = afterThisTick().then(() => {
      if (open?.checks === checks) {
        open = undefined;
      }
      return send(checks);
    });
    return { checks, answer };
  };
  return async (checks) => {
    if (open === undefined || open.checks.length + checks.length > maxChecks) {
      open = begin();
    }
    const { answer } = open;
    const first = open.checks.push(...checks) - checks.length;
    return (await answer).slice(first, first + checks.length);
  };
}

/**
 * Resolves when the calls of this tick have been made, also those behind an await or two. It waits
 * for no timer: in some edge runtimes, a timer would mix the questions of several requests.
 */
async function afterThisTick(): Promise<void> {
  for (let i = 0; i < 4; i++) {
    await undefined;
  }
}

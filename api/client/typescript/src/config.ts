import { serviceTokenPrefix } from "./sender.js";

/** Configures a client. */
export interface Config {
  /** Rolecall's address, such as https://rolecall.internal:8080, without a path of the API. */
  readonly url: string;
  /**
   * The service's own token, `rcs_…`. Questions about `{ userId }`, `decide`, `explain` and `follow` need it. Other
   * questions pass on the user's token.
   */
  readonly token?: string | undefined;
  /** Bounds one decision, retries included, in milliseconds. Defaults to 2000. */
  readonly timeout?: number | undefined;
  /**
   * How often the client tries again after a network error, a 502, a 503 or a 504. This is safe,
   * because a question changes nothing. Defaults to 1.
   */
  readonly retries?: number | undefined;
  /**
   * Bounds the age of `Decision.asOf`, in whole seconds: an older decision allows nothing. It must
   * be longer than Rolecall's time between two sweeps plus the time that a sweep takes. Defaults to
   * no limit.
   */
  readonly maxStaleness?: number | undefined;
  /**
   * Is called with the error for which `can` was false or a guard answered 503, such as an
   * AnswerError when Rolecall refused `token`. It is also called with an AnswerError for two
   * refusals that are the program's own fault: of a permission that no role has ("reason" is
   * "unknown_permission"), and of a workspace to which `token` doesn't extend
   * ("workspace_not_listed").
   */
  readonly failed?: ((error: unknown) => void) | undefined;
  /** Sends the requests. Defaults to the global fetch. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** A valid configuration, with defaults. */
export interface Settings {
  readonly base: string;
  readonly token: string | undefined;
  readonly timeout: number;
  readonly retries: number;
  readonly maxStaleness: number | undefined;
  readonly failed: (error: unknown) => void;
  readonly fetch: typeof globalThis.fetch;
}

/** setTimeout takes no longer time, and ends a longer one at once. */
const maxTimeout = 2 ** 31 - 1;

/** Throws an error that names every invalid field. */
export function settingsOf(config: Config): Settings {
  const { url, token, timeout = 2000, retries = 1, maxStaleness, failed = () => {}, fetch } = config;
  const faults = [urlFault(url)];
  if (token !== undefined && !(typeof token === "string" && /^rcs_[\w.~+/=-]+$/.test(token))) {
    faults.push(`token must begin with ${serviceTokenPrefix} and have no blanks`);
  }
  if (!isInteger(timeout, 1, maxTimeout)) {
    faults.push(`timeout must be 1 to ${maxTimeout} whole milliseconds`);
  }
  if (!isInteger(retries, 0, Number.MAX_SAFE_INTEGER)) {
    faults.push("retries must be a whole number, 0 or more");
  }
  if (maxStaleness !== undefined && !isInteger(maxStaleness, 1, Number.MAX_SAFE_INTEGER)) {
    faults.push("maxStaleness must be whole seconds, 1 or more");
  }
  const named = faults.filter((fault) => fault !== undefined);
  if (named.length > 0) {
    throw new TypeError("rolecall: " + named.join("; "));
  }
  const send: typeof globalThis.fetch = fetch ?? ((...question) => globalThis.fetch(...question));
  return { base: url.replace(/\/+$/, ""), token, timeout, retries, maxStaleness, failed, fetch: send };
}

export function isInteger(value: unknown, least: number, most: number): boolean {
  return Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
}

const urlRule = "url must be an absolute http or https URL without a query";

function urlFault(url: unknown): string | undefined {
  if (typeof url !== "string" || !/^https?:\/\/[^/\s]\S*$/i.test(url) || /[?#]/.test(url)) {
    return urlRule;
  }
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return urlRule;
  }
  const { pathname, username, password } = parsed;
  if (username !== "" || password !== "") {
    return "url must have no user name or password"; // fetch refuses such a URL at each request
  }
  if (/\/v1(\/authorize|\/explain|\/changes)?\/*$/.test(pathname)) { // every request there would be a 404, like a stranger's
    return "url must not have a path of the API";
  }
  return undefined;
}

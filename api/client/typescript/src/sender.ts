/** A request's headers: those of the Fetch API, or those of Node's requests. */
export type HeadersOf = Headers | { readonly [name: string]: string | readonly string[] | undefined };

/** A request of the Fetch API, of Node, or of a framework on either. */
export interface WithHeaders {
  readonly headers: HeadersOf;
  /** Of Node's requests: names and values by turns, repeated ones included. */
  readonly rawHeaders?: readonly string[];
}

/**
 * Whom a question is about. A request and a session token are asked about with the sender's own
 * token. A user whom your program has identified is asked about with the service token. If an
 * object has several of these members, the first one counts.
 */
export type Sender =
  | WithHeaders
  | { readonly token: string | null | undefined }
  | { readonly userId: string | null | undefined };

/** Begins every service's token. */
export const serviceTokenPrefix = "rcs_";

/**
 * Bounds the Authorization header, in bytes, as Rolecall does. A server in front of Rolecall could
 * refuse a much longer one in a way that looks like an outage.
 */
const maxAuthorization = 8 << 10;

/**
 * Returns the one bearer token of a request. It refuses a service's token, which could name any
 * user. It reads no cookie: a browser sends cookies also when another site makes it send a request.
 */
export function bearerOf(request: WithHeaders): string | undefined {
  const given = authorizationsOf(request);
  const [header] = given;
  if (given.length !== 1 || header === undefined || header.length > maxAuthorization) {
    return undefined;
  }
  return usable(/^bearer +(\S+) *$/i.exec(header)?.[1]); // in linear time, whatever the header is
}

/** The header of a request's id. */
export const headerRequestId = "x-request-id";

/** Returns the id of the sender's request, if it has one that Rolecall takes. */
export function requestIdOf({ headers }: WithHeaders): string | undefined {
  const given = isFetchHeaders(headers) ? headers.get(headerRequestId) : headers[headerRequestId];
  return typeof given === "string" && /^[!-~]{1,128}$/.test(given) ? given : undefined;
}

/** Returns a token if it can be a user's. The Fetch API joins repeated headers by a comma. */
export function usable(token: unknown): string | undefined {
  if (typeof token !== "string" || !/^[\w.~+/=-]+$/.test(token) || token.length > maxAuthorization) {
    return undefined;
  }
  return token.startsWith(serviceTokenPrefix) ? undefined : token;
}

function authorizationsOf({ headers, rawHeaders }: WithHeaders): string[] {
  if (Array.isArray(rawHeaders)) { // Node keeps only the first of repeated ones in headers
    return rawHeaders.filter((_, i) => i % 2 === 1 && isAuthorization(rawHeaders[i - 1]));
  }
  if (isFetchHeaders(headers)) {
    const header = headers.get("authorization");
    return header === null ? [] : [header];
  }
  return Object.entries(headers).flatMap(([name, values]) => (isAuthorization(name) && values !== undefined ? values : []));
}

function isAuthorization(name: unknown): boolean {
  return typeof name === "string" && name.toLowerCase() === "authorization";
}

function isFetchHeaders(headers: HeadersOf): headers is Headers {
  return typeof headers.get === "function";
}

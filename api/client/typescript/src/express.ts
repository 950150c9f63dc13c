import type { Guard } from "./guard.js";
import type { WithHeaders } from "./sender.js";

/** What the adapter needs of a response of Node's. */
export interface NodeResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body: string): unknown;
}

/** Turns a guard into middleware of Express, or of any framework with its `(req, res, next)`. */
export function express<R extends WithHeaders>(
  guard: Guard<R>,
): (request: R, response: NodeResponse, next: (error?: unknown) => void) => Promise<void> {
  return async (request, response, next) => {
    let refused: Response | undefined;
    try {
      refused = await guard(request);
    } catch (error) { // Express 4 doesn't notice a rejection
      next(error);
      return;
    }
    if (refused === undefined) {
      next();
      return;
    }
    response.statusCode = refused.status;
    refused.headers.forEach((value, name) => response.setHeader(name, value));
    response.end(await refused.text());
  };
}

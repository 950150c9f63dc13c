/**
 * Puts Rolecall's decisions before a program's own routes, and follows its changes. It fails closed: a request passes only if
 * Rolecall's answer allows it. It needs `fetch`, and no other package.
 *
 * @module
 */
export type { Batch, FeedChange } from "./changes.js";
export { type Client, createClient, type MaybeId } from "./client.js";
export type { Config } from "./config.js";
export type { Check, Decision, Reason } from "./decision.js";
export { AnswerError, CursorExpiredError, LateError, NotADecisionError, NotChangesError } from "./errors.js";
export type { Change, Explanation, Fact } from "./explanation.js";
export type { FollowOptions } from "./follow.js";
export { express, type NodeResponse } from "./express.js";
export { decisionOf, type Guard, protect, requirePermission } from "./guard.js";
export { type Departure, Members } from "./members.js";
export type { components, operations, paths } from "./openapi.js";
export { Problem } from "./problem.js";
export type { HeadersOf, Sender, WithHeaders } from "./sender.js";

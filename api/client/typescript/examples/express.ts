import { createClient, decisionOf, express as middleware, requirePermission } from "@callmine/rolecall";
import express, { type Request } from "express";

const rolecall = createClient({ url: process.env.ROLECALL_URL ?? "http://127.0.0.1:8080" });
const mayRead = requirePermission(rolecall, "reports:read", (request: Request) => request.params.workspace);

export const app = express();
app.get("/workspaces/:workspace/report", middleware(mayRead), (request, response) => {
  response.json({ hello: decisionOf(request)?.userId });
});

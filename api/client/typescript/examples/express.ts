import { createClient, decisionOf, express as middleware, requirePermission } from "@callmine/rolecall";
import express, { type Request, type Response } from "express";

const rolecall = createClient({ url: process.env.ROLECALL ?? "http://127.0.0.1:8080" });
const mayRead = requirePermission(rolecall, "reports:read", (request: Request) => request.params.workspace);
const report = (request: Request, response: Response) => response.json({ hello: decisionOf(request)?.userId });

export const app = express();
app.get("/workspaces/:workspace/report", middleware(mayRead), report);

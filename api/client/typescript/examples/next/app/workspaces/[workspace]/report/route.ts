import { createClient, decisionOf, protect, requirePermission } from "@callmine/rolecall";

const rolecall = createClient({ url: process.env.ROLECALL ?? "http://127.0.0.1:8080" });
type Context = { params: Promise<{ workspace: string }> };
const workspace = async (_: Request, { params }: Context) => (await params).workspace;
const mayRead = requirePermission(rolecall, "reports:read", workspace);

export const GET = protect(mayRead, (request) => Response.json({ hello: decisionOf(request)?.userId }));

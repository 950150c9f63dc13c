import { createClient, Members } from "@callmine/rolecall";

/** Closes the sockets of everybody who ceases to be a member. */
export async function closeSockets(close: (workspaceId: string, userId: string) => void, signal: AbortSignal): Promise<void> {
  const { ROLECALL: url = "http://127.0.0.1:8080", ROLECALL_SERVICE_TOKEN: token } = process.env;
  const members = new Members();
  for await (const batch of createClient({ url, token }).follow({ startAnew: true, signal })) {
    for (const left of members.apply(batch)) {
      close(left.workspaceId, left.userId);
    }
  }
}

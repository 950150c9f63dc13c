// Uses the client that @hey-api/openapi-ts makes of api/openapi.yaml. It is compiled, and never run.
import { authorizeMany, listMembers } from "../generated/hey-api";
import { client } from "../generated/hey-api/client.gen";

client.setConfig({ baseUrl: "http://127.0.0.1:8080", auth: "rcs_…" });

export async function decide(): Promise<boolean> {
  const check = { user_id: "user_1", workspace_id: "org_1", permission: "reports:read" };
  const { data, error } = await authorizeMany({ body: { checks: [check] } });
  if (data === undefined) {
    throw new Error(error.title);
  }
  return data.decisions[0]?.allowed ?? false;
}

export async function names(): Promise<(string | null)[]> {
  const { data } = await listMembers({ path: { workspace_id: "org_1" }, query: { limit: 50 } });
  return data?.data.map((member) => member.first_name) ?? [];
}

// Uses the types that openapi-typescript makes of api/openapi.yaml. It is compiled, and never run.
import type { components, operations, paths } from "../generated/openapi-typescript";

type Members = paths["/v1/workspaces/{workspace_id}/members"]["get"]["responses"]["200"]["content"]["application/json"];
type Question = operations["authorizeMany"]["requestBody"]["content"]["application/json"];

export const question: Question = { checks: [{ user_id: "user_1", workspace_id: "org_1", permission: "reports:read" }] };

export async function decide(): Promise<components["schemas"]["Decision"][]> {
  const answer = await fetch("http://127.0.0.1:8080/v1/authorize", { method: "POST", body: JSON.stringify(question) });
  const { decisions } = (await answer.json()) as components["schemas"]["Decisions"];
  return decisions;
}

export function names({ data }: Members): (string | null)[] {
  return data.map((member) => member.first_name);
}

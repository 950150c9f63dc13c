// Command smoke uses the client that oapi-codegen makes of api/openapi.yaml. It is compiled, to
// show that the document suits the generator, and never run.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/callmine/rolecall/ci/generators/generated/rolecall"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	client, err := rolecall.NewClientWithResponses("http://127.0.0.1:8080", rolecall.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer rcs_…")
		return nil
	}))
	if err != nil {
		return err
	}
	answer, err := client.AuthorizeManyWithResponse(ctx, rolecall.AuthorizeManyJSONRequestBody{
		Checks: []rolecall.Check{{UserId: "user_1", WorkspaceId: "org_1", Permission: "reports:read"}},
	})
	if err != nil || answer.JSON200 == nil {
		return fmt.Errorf("authorize: %w", err)
	}
	for _, d := range answer.JSON200.Decisions {
		fmt.Println(d.UserId, d.Allowed, d.Reason == rolecall.Allowed)
	}
	members, err := client.ListMembersWithResponse(ctx, "org_1", &rolecall.ListMembersParams{})
	if err != nil || members.JSON200 == nil {
		return fmt.Errorf("list members: %w", err)
	}
	for _, m := range members.JSON200.Data {
		fmt.Println(m.UserId, m.Role)
	}
	return nil
}

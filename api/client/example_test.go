package client_test

import (
	"fmt"
	"net/http"

	"github.com/callmine/rolecall/api/client"
)

// Only users with reports:read in the workspace of the path may request the report. The user's own
// Clerk session token identifies them.
func Example() {
	rolecall, err := client.New(client.Config{URL: "http://127.0.0.1:8080"})
	if err != nil {
		fmt.Println(err)
		return
	}
	workspace := func(r *http.Request) string { return r.PathValue("workspace_id") }
	report := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		decision, _ := client.FromContext(r.Context())
		fmt.Fprintln(w, "hello", decision.UserID, decision.Role)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /workspaces/{workspace_id}/report", rolecall.Require("reports:read", workspace)(report))
}

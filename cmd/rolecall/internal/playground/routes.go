package playground

import (
	"net/http"
	"slices"
	"strings"
)

// access is what a route asks for before its handler runs: a permission in the active workspace, or
// one of these.
type access string

const (
	anyone   access = "anyone"   // no session
	signedIn access = "a person" // a session
	member   access = "a member" // a session with a workspace; Rolecall itself refuses the command
)

// route is a line of the product's table. Each is served in each window.
type route struct {
	method, path string
	needs        access
	handle       func(*visit) error
}

func routes() []route {
	const get, post, patch, remove = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	return []route{
		{get, "/", anyone, showNothing},
		{get, "/sign-in", anyone, showSignIn},
		{post, "/sign-in", anyone, signIn},
		{post, "/sign-out", anyone, signOut},
		{get, "/sign-up", anyone, showSignUp},
		{post, "/sign-up", anyone, signUp},
		{get, "/mail", anyone, showMail},
		{get, "/accept", anyone, showMail},
		{post, "/accept", anyone, accept},

		{get, "/create-workspace", signedIn, show("create-workspace", "Create a workspace")},
		{post, "/create-workspace", signedIn, createWorkspace},
		{post, "/switch", signedIn, switchWorkspace},

		{get, "/onboarding", "workspace:read", show("onboarding", "Welcome")},
		{get, "/dashboard", "reports:read", show("dashboard", "Dashboard")},
		{get, "/reports/{id}", "reports:read", showReport},
		{get, "/new", "analyses:run", show("new", "New analysis")},
		{post, "/new", "analyses:run", deed{"report", "created", "name prompt", "/reports/{id}"}.do},
		{get, "/prompts", "prompts:read", show("prompts", "Prompts")},
		{post, "/prompts", "prompts:write", deed{"prompt", "created", "name text", "/prompts"}.do},
		{get, "/library", "prompts:read", show("library", "Prompt library")},

		{get, "/settings", "workspace:read", show("settings", "Settings")},
		{post, "/settings/billing", "billing:manage", deed{"plan", "changed", "name", "/settings"}.do},
		{post, "/settings/integrations", "integrations:manage", deed{"integration", "changed", "name state", "/settings"}.do},
		{post, "/settings/schedules", "schedules:manage", deed{"schedule", "created changed deleted", "name when", "/settings"}.do},
		{get, "/settings/members", "members:manage", showMembers},
		{get, "/audit", "audit:read", showAudit},

		{post, "/settings/name", member, command{patch, "", "name", "renamed the workspace to {name}", "Everybody sees the new name."}.send},
		{post, "/settings/leave", member, command{remove, "/members/{me}", "", "left", "You have left. What you made stays there."}.send},
		{post, "/settings/members/invite", member, command{post, "/invitations", "email role", "invited {email} as {role}", "{email} has mail."}.send},
		{post, "/settings/members/role", member, command{patch, "/members/{user_id}", "role", "made {user_id} {role}", "{user_id} is {role} now."}.send},
		{post, "/settings/members/remove", member, command{remove, "/members/{user_id}", "", "removed {user_id}", "{user_id} is out."}.send},
		{post, "/settings/members/revoke", member, command{remove, "/invitations/{id}", "", "revoked an invitation", "Nobody can accept it now."}.send},
	}
}

// Permissions are those that the product's pages need. They have the names of the built-in policy.
func Permissions() []string {
	all := []string{"workspace:update"} // Rolecall's own command asks for it
	for _, rt := range routes() {
		if strings.Contains(string(rt.needs), ":") {
			all = append(all, string(rt.needs))
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(all)))
}

// show is the handler of a page that needs nothing but the workspace's data.
func show(name, title string) func(*visit) error {
	return func(v *visit) error { return v.show(http.StatusOK, name, title, v.shelf()) }
}

func showReport(v *visit) error {
	kept := v.shelf()
	i := kept.at("report", v.r.PathValue("id"))
	if i < 0 {
		return refusal(http.StatusNotFound, "There is no such report in this workspace")
	}
	return v.show(http.StatusOK, "report", kept["report"][i]["name"], kept["report"][i])
}

package playground

import (
	"net/http"
	"net/url"
	"strings"
)

// command is a change that a form asks of Rolecall as the person, who may be refused. Its texts may
// name fields of the form, and {me}.
type command struct{ method, path, body, words, said string }

func (c command) send(v *visit) error {
	inPath, inWords := []string{"{me}", v.session.userID}, []string{}
	for _, field := range []string{"user_id", "id", "email", "role", "name"} {
		inPath = append(inPath, "{"+field+"}", url.PathEscape(v.text(field)))
		inWords = append(inWords, "{"+field+"}", v.p.name(v.text(field)))
	}
	body := map[string]string{}
	for field := range strings.FieldsSeq(c.body) {
		body[field] = v.text(field)
	}
	words, path := strings.NewReplacer(inWords...), v.path(strings.NewReplacer(inPath...).Replace(c.path))
	if err := v.ask(words.Replace(c.words), v.token, c.method, path, body, nil); err != nil {
		return err
	}
	if strings.Contains(c.path, "{me}") {
		v.activate("")
		return v.to("/dashboard", c.said)
	}
	return v.to(v.r.URL.Path[len(v.window):strings.LastIndex(v.r.URL.Path, "/")], words.Replace(c.said))
}

// createWorkspace makes the person the first admin of a new workspace.
func createWorkspace(v *visit) error {
	name := v.text("name")
	v.session.workspaceID = "" // it happens in none of the old ones
	var created workspace
	if err := v.ask("created "+name, v.token, http.MethodPost, "/v1/workspaces", map[string]string{"name": name}, &created); err != nil {
		return err
	}
	v.activate(created.ID)
	return redirection("/onboarding")
}

// switchWorkspace makes another workspace the active one if Rolecall says that the person is a
// member: the id may be forged.
func switchWorkspace(v *visit) error {
	id := v.text("workspace_id")
	if err := v.authorize("workspace:read", id); err != nil {
		return err
	}
	v.activate(id)
	return redirection("/dashboard")
}

func showMembers(v *visit) error {
	var members, invitations map[string]any
	if err := v.read(v.path("/members?limit=200"), &members); err != nil {
		return err
	}
	if err := v.read(v.path("/invitations?limit=200"), &invitations); err != nil {
		return err
	}
	return v.show(http.StatusOK, "members", "Members", map[string]any{"Members": members["data"], "Invitations": invitations["data"]})
}

// showAudit passes filters and cursor on as they are: Rolecall judges them.
func showAudit(v *visit) error {
	var log map[string]any
	if err := v.read(v.path("/audit?"+v.r.URL.RawQuery), &log); err != nil {
		return err
	}
	return v.show(http.StatusOK, "audit", "Audit", log)
}

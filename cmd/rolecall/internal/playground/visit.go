package playground

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/api/client"
	"github.com/callmine/rolecall/internal/clerksim"
)

// workspace is one of a person's workspaces, as GET /v1/me lists it.
type workspace struct {
	ID          string   `json:"workspace_id"`
	Name        string   `json:"name"`
	Role        string   `json:"role"`
	Permissions []string `json:"permissions"`
}

// pass names the workspace to which Rolecall admitted a request. Only [visit.admit] makes one, and
// the product's data can't be read without one.
type pass struct{ workspaceID string }

// visit is one request, and what is known of the person who makes it.
type visit struct {
	p          *Playground
	w          http.ResponseWriter
	r          *http.Request
	window     string
	needs      access
	key        string  // of the session
	session    session // a copy
	token      string  // "" if nobody is signed in
	workspaces []workspace
	pass       pass
}

// redirection is an error that leads to another page of the product.
type redirection string

func (to redirection) Error() string { return "see " + string(to) }

func (p *Playground) serve(window string, rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{p: p, w: w, r: r, window: window, needs: rt.needs, key: sessionKey(r, window)}
		err := v.admit()
		if err == nil {
			err = rt.handle(v)
		}
		if err != nil {
			v.fail(err)
		}
	}
}

// admit finds out who asks, and asks Rolecall whether they may.
func (v *visit) admit() (err error) {
	if found, ok := v.p.sessions.change(v.key, func(*session) {}); ok {
		// each page takes a fresh token, as Clerk's script does; there is none if the session has ended
		if v.token, err = v.p.cfg.Simulator.World().TokenOf(found.clerkID, clerksim.TokenOptions{}); err == nil {
			v.session = found
		}
	}
	if v.needs == anyone {
		return nil
	}
	if v.token == "" {
		return redirection("/sign-in")
	}
	if v.needs == signedIn || v.session.workspaceID == "" {
		if err := v.readWorkspaces(); err != nil || v.needs == signedIn {
			return err
		}
		if len(v.workspaces) == 0 {
			return redirection("/create-workspace")
		}
		v.activate(slices.MaxFunc(v.workspaces, func(a, b workspace) int { return len(a.Permissions) - len(b.Permissions) }).ID)
	}
	if v.needs == member {
		return nil
	}
	if err := v.authorize(string(v.needs), v.session.workspaceID); err != nil {
		return err
	}
	v.pass = pass{v.session.workspaceID}
	return v.readWorkspaces()
}

// authorize asks Rolecall whether the person may do something.
func (v *visit) authorize(permission, workspaceID string) error {
	began, answer := time.Now(), client.Decision{}
	question := url.Values{"workspace_id": {workspaceID}, "permission": {permission}}
	status, err := v.p.rolecall.call(v.r.Context(), v.token, http.MethodGet, "/v1/authorize?"+question.Encode(), nil, &answer)
	if err == nil && (!answer.Allowed || answer.UserID != v.session.userID || answer.WorkspaceID != workspaceID || answer.Permission != permission) {
		status, err = unanswered, refusal(http.StatusBadGateway, "That isn't Rolecall's answer to this question")
	}
	reason := "allowed"
	if refused, ok := errors.AsType[*problem](err); ok {
		reason = refused.Reason
	}
	v.p.decided(Decision{began, v.p.name(v.session.userID), v.session.userID, workspaceID, permission, status, reason, time.Since(began)})
	return err
}

// read reads from Rolecall as the person.
func (v *visit) read(path string, into any) error {
	_, err := v.p.rolecall.call(v.r.Context(), v.token, http.MethodGet, path, nil, into)
	return err
}

// readWorkspaces reads the person's workspaces, and notes the name of the active one.
func (v *visit) readWorkspaces() error {
	var me struct {
		Workspaces []workspace `json:"workspaces"`
	}
	err := v.read("/v1/me", &me)
	v.workspaces = me.Workspaces
	if name := v.active().Name; name != "" {
		v.change(func(s *session) { s.workspaceName = name })
	}
	return err
}

// active is the active workspace; the zero value if the person isn't a member of it.
func (v *visit) active() workspace {
	if i := slices.IndexFunc(v.workspaces, func(w workspace) bool { return w.ID == v.session.workspaceID }); i >= 0 {
		return v.workspaces[i]
	}
	return workspace{}
}

// activate makes a workspace the active one. With "", the next page chooses one.
func (v *visit) activate(workspaceID string) {
	v.change(func(s *session) { s.workspaceID, s.workspaceName = workspaceID, "" })
}

func (v *visit) change(change func(*session)) {
	change(&v.session)
	v.p.sessions.change(v.key, change)
}

// to leads to another page, which first says what was done.
func (v *visit) to(path, said string) error {
	v.change(func(s *session) { s.said = said })
	return redirection(path)
}

// ask asks Rolecall for a change, and notes it for the panel.
func (v *visit) ask(words, token, method, path string, body, into any) (err error) {
	done := row{At: time.Now(), Title: v.p.name(v.session.userID) + " " + words, WorkspaceID: v.session.workspaceID}
	done.Status, err = v.p.rolecall.call(v.r.Context(), token, method, path, body, into)
	switch {
	case done.Status == unanswered:
		done.Title = "Unanswered: " + done.Title
	case err != nil:
		done.Title = "Refused: " + done.Title
	}
	v.p.acted(done)
	return err
}

// path is a path of Rolecall's API about the active workspace.
func (v *visit) path(rest string) string {
	return "/v1/workspaces/" + url.PathEscape(v.session.workspaceID) + rest
}

// text is a field of the form without blanks around it, cut to a bearable length.
func (v *visit) text(field string) string {
	text := strings.TrimSpace(v.r.PostFormValue(field))
	return strings.ToValidUTF8(text[:min(len(text), 300)], "")
}

package demo

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// keptBody is how much of a body a request keeps: enough for a question, and for a decision or a
// problem.
const keptBody = 4 << 10

// request is a request to the API, as the feed shows it. Nothing in it was verified: it is shown,
// and decides nothing.
type request struct {
	at           time.Time
	method, path string
	user         string // whose token it is, or for whom a service acts; "" if it names none
	service      bool   // it has a service's token
	about        string // the user, workspace and permission of the question, as far as it names them
	workspace    string
	permission   string
	asked        *kept
	status       int
	reason       string
	took         time.Duration
}

func newRequest(r *http.Request) *request {
	q := r.URL.Query()
	n := &request{at: time.Now(), method: r.Method, path: r.URL.Path, workspace: q.Get("workspace_id"), permission: q.Get("permission"), asked: &kept{}}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if cookie, err := r.Cookie("__session"); err == nil && token == "" {
		token = cookie.Value
	}
	n.user = subject(token)
	if n.user == "" && token != "" {
		n.service, n.user = true, r.Header.Get("Rolecall-On-Behalf-Of")
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(r.Body, n.asked), r.Body}
	return n
}

// subject returns the user whom a session token names; "" for another token.
func subject(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var named struct {
		Subject string `json:"sub"`
	}
	_ = json.Unmarshal(claims, &named) // what can't be read names nobody
	return named.Subject
}

// end notes the answer.
func (r *request) end(a *answer) {
	r.took, r.status = time.Since(r.at), a.status
	var question struct {
		User       string `json:"user_id"`
		Workspace  string `json:"workspace_id"`
		Permission string `json:"permission"`
		Checks     []struct {
			User       string `json:"user_id"`
			Workspace  string `json:"workspace_id"`
			Permission string `json:"permission"`
		} `json:"checks"`
	}
	_ = json.Unmarshal(r.asked.text, &question) // some requests have no question
	r.about, r.workspace, r.permission = question.User, cmp.Or(r.workspace, question.Workspace), cmp.Or(r.permission, question.Permission)
	if len(question.Checks) > 0 {
		first := question.Checks[0]
		r.about, r.workspace, r.permission = first.User, first.Workspace, first.Permission
		if more := len(question.Checks) - 1; more > 0 {
			r.permission += " and " + strconv.Itoa(more) + " more"
		}
	}
	var told struct {
		Reason  string `json:"reason"`
		Type    string `json:"type"`
		Results []struct {
			Reason string `json:"reason"`
		} `json:"decisions"`
	}
	_ = json.Unmarshal(a.kept.text, &told) // some answers have no reason
	_, problem, _ := strings.Cut(told.Type, "urn:rolecall:problem:")
	r.reason = cmp.Or(told.Reason, problem)
	if len(told.Results) == 1 {
		r.reason = told.Results[0].Reason
	}
}

// ids returns the ids for which the event has names, if they are known.
func (r *request) ids() []string {
	return slices.DeleteFunc(append(strings.Split(r.path, "/"), r.user, r.about, r.workspace), func(text string) bool { return !anID.MatchString(text) })
}

// anID matches ids as Clerk makes them. Of a foreign text, Postgres may refuse the characters.
var anID = regexp.MustCompile(`^[a-z]+_[A-Za-z0-9]{1,64}$`)

// unverified reports whether the API refused the token, or answered without a look at it: a forged
// one names anybody.
func (r *request) unverified() bool {
	return r.status == http.StatusUnauthorized || r.status == http.StatusMethodNotAllowed || r.reason == "unknown-route"
}

// event tells the request with names in the place of ids.
func (r *request) event(known names) event {
	who := known.of(r.user)
	switch {
	case r.unverified() || who == "" && !r.service:
		who = "unknown caller"
	case r.service && who != "":
		who = "a service for " + who
	case r.service:
		who = "a service"
	}
	segments := strings.Split(r.path, "/")
	for i := range segments {
		segments[i] = known.of(segments[i])
	}
	what := who + " " + r.method + " " + strings.Join(segments, "/") + orNothing(" ", known.of(r.about)) + orNothing(" ", r.permission)
	if r.workspace != "" {
		what += " in " + known.of(r.workspace)
	}
	return event{at: r.at.Add(r.took), what: what, outcome: strconv.Itoa(r.status) + orNothing(" ", r.reason) + "  " + short(r.took)}
}

// kept keeps the beginning of what is written.
type kept struct{ text []byte }

// Write implements [io.Writer].
func (k *kept) Write(text []byte) (int, error) {
	k.text = append(k.text, text[:min(len(text), keptBody-len(k.text))]...)
	return len(text), nil
}

// answer keeps the status of an answer, and the beginning of its body.
type answer struct {
	http.ResponseWriter

	status int
	kept   kept
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(text []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	_, _ = a.kept.Write(text)
	return a.ResponseWriter.Write(text)
}

// Unwrap lets exports flush.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

package service_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgdev"
	clerksync "github.com/callmine/rolecall/sync"
)

// leaks is a world of two unrelated workspaces, and all output of the service.
type leaks struct {
	*house
	postgres     *pgdev.Server
	alex, robin  person // admin and member of one workspace
	zeb          person // admin of the other one
	outsiders    []person
	ours, theirs site
	report       string // the other workspace's
	pages        map[string]string
	binary       string // the program
}

// TestLeaks_NoSecretOrForeignDataAnywhere reads all output: answers with their headers, logs,
// metrics, and the command line's. Meanwhile all people use all routes, Clerk answers garbage, and
// the database goes away in the middle of a command.
func TestLeaks_NoSecretOrForeignDataAnywhere(t *testing.T) {
	t.Parallel()
	l := openLeaks(t)
	l.everybodyUsesEverything()
	l.operatorsLook("all is well")
	l.requireTheOtherWorkspaceIsSilent()
	l.clerkAnswersGarbage()
	l.operatorsLook("Clerk was ill")
	l.theDatabaseGoesAway()
	l.operatorsLook("no database")

	l.requireTheOtherWorkspaceIsSilent()
	l.requireNone("answer", l.said(""), append(l.secrets(), internals()...))
	l.requireNone("log", map[string]string{"log": l.Log.String()}, append(l.secrets(), l.personal()...))
	require.NotContains(t, l.Log.String(), "panicked")
	for name, page := range l.pages {
		l.requireNone("page", map[string]string{name: page}, append(l.secrets(), l.personal()...))
		if strings.HasPrefix(name, "/") { // operators may read internals on the command line
			l.requireNone("page", map[string]string{name: page}, append(internals(), l.ids(l.ours, l.theirs, l.alex, l.robin, l.zeb)...))
		}
	}
}

func openLeaks(t *testing.T) *leaks {
	t.Helper()
	postgres, err := pgdev.Start(t.Context(), pgdev.Config{DataDir: servicetest.DataFolder(t), TCPAddr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, postgres.Stop(context.WithoutCancel(t.Context()))) })
	databaseURL := postgres.TCPURL("postgres")
	require.NoError(t, database.MigrateURL(t.Context(), databaseURL))
	l := &leaks{house: openHouseOn(t, databaseURL, withRoles(t), servicetest.HurriedLookUps), postgres: postgres, report: "report_theirs", pages: map[string]string{}, binary: build(t)}
	l.alex, l.robin, l.zeb = l.person("Alexandrine"), l.person("Robinette"), l.person("Zebulonia")
	quill := l.person("Quillonia")
	l.ours.workspace, l.theirs.workspace = l.create(l.alex, "Northernmost"), l.create(l.zeb, "Southernmost")
	l.join(l.alex, l.ours.workspace, l.robin, "member")
	l.join(l.zeb, l.theirs.workspace, quill, "member")
	l.ours.member, l.theirs.member = l.robin.id, quill.id
	l.ours.invitation = l.invite(l.alex, l.ours.workspace, "ourguest@callmine.test", "member")
	l.theirs.invitation = l.invite(l.zeb, l.theirs.workspace, "theirguest@callmine.test", "member")
	l.house.report(l.theirs.workspace, quill, l.report)
	removed := l.person("Formeria")
	l.join(l.alex, l.ours.workspace, removed, "admin")
	require.NoError(t, l.Clerk.RemoveMember(l.ours.workspace, removed.id))
	l.deliverWebhooks()
	l.outsiders = []person{removed, l.person("Strangeria")}
	return l
}

// everybodyUsesEverything uses all routes about both workspaces and an unknown one.
func (l *leaks) everybodyUsesEverything() {
	l.t.Helper()
	nowhere := site{workspace: "org_nowhere", member: "user_nowhere", invitation: "orginv_nowhere"}
	for _, where := range []site{l.ours, l.theirs, nowhere} {
		for _, caller := range append([]person{l.robin, l.alex}, l.outsiders...) {
			l.useAll(caller, where)
		}
	}
	l.useAll(l.zeb, l.theirs)
	l.call(routes()[0], l.ours, "")
	for _, r := range routes() {
		l.call(r, l.ours, l.alex.token+"x")
		l.call(r, l.ours, l.ServiceToken)
	}
	require.NotEmpty(l.t, l.said(l.alex.token))
	l.deliverWebhooks()
}

// useAll uses all routes that move no people.
func (l *leaks) useAll(caller person, where site) {
	l.t.Helper()
	for _, r := range routes() {
		if about := where; !r.spends && (!r.oneself || r.told != "") {
			if r.oneself {
				about.member = caller.id
			}
			l.call(r, about, caller.token)
		}
	}
	for _, path := range []string{"/v1/nowhere", at(where.workspace, "audit?cursor=MTox"), at(where.workspace, "audit?limit=x"), at(where.workspace, "audit", "export?format=csv")} {
		l.ask(caller.token, http.MethodGet, path, "")
	}
	l.ask(caller.token, http.MethodPut, at(where.workspace), "{}")
	l.ask(caller.token, http.MethodPatch, at(where.workspace), `{"name":`)
}

// clerkAnswersGarbage lets commands and look-ups meet a Clerk that is ill in several ways. The
// restart after each illness closes the circuit breaker.
func (l *leaks) clerkAnswersGarbage() {
	l.t.Helper()
	every := func(clerksim.Call) bool { return true }
	for name, illness := range map[string]func() func(){
		"Down":  l.Faults.Down,
		"Page":  func() func() { return l.Faults.FailWithHTML(http.StatusOK, every) },
		"Cut":   func() func() { return l.Faults.CutBody(every) },
		"Field": func() func() { return l.Faults.Fail(http.StatusUnprocessableEntity, every) },
		"Key":   func() func() { return l.Faults.Fail(http.StatusUnauthorized, every) },
		"Reads": func() func() {
			return l.Faults.FailWithHTML(http.StatusOK, func(c clerksim.Call) bool { return c.Request.Method == http.MethodGet })
		},
		"Limit": func() func() { // only writes meet it: after one refused look-up, none would be sent for a while
			return l.Faults.FailWithRetryAfter(http.StatusTooManyRequests, "1", func(c clerksim.Call) bool { return c.Request.Method != http.MethodGet })
		},
	} {
		cure, before, reads := illness(), l.writes(), l.Faults.Calls()["GET /organizations/{id}/memberships"]
		for began, ill := time.Now(), "Ill"+strings.ToLower(name); ; ill += "x" { // after several failures, the circuit breaker sends none for a while
			l.useAll(l.person(ill), l.ours)
			if l.Faults.Calls()["GET /organizations/{id}/memberships"] > reads {
				break
			}
			require.Less(l.t, time.Since(began), 30*time.Second, name)
		}
		l.useAll(l.alex, l.ours)
		l.ask(l.alex.token, http.MethodPost, "/v1/workspaces", `{"name":"Northernmost"}`)
		require.Greater(l.t, l.writes(), before, name)
		cure()
		l.restart(l.Config)
	}
	l.deliverWebhooks()
}

// theDatabaseGoesAway ends the database between Clerk's answer to a command and our commit, and
// then uses all routes.
func (l *leaks) theDatabaseGoesAway() {
	l.t.Helper()
	cure := l.Faults.AfterAnswer(func(clerksim.Call) {
		if err := syscall.Kill(l.postgres.PID(), syscall.SIGQUIT); err == nil {
			<-l.postgres.Done()
		}
	}, clerksim.OnRoute("PATCH /organizations/{id}"))
	a := l.ask(l.alex.token, http.MethodPatch, at(l.ours.workspace), `{"name":"Northernmost"}`) // one of the searched names
	cure()
	require.Equal(l.t, "urn:rolecall:problem:accepted-not-recorded", a.body["type"], a.text)
	webhook := l.webhook("msg_away", []byte(`{"type":"user.updated","data":{"id":"user_Zebulonia"}}`))
	require.Equal(l.t, http.StatusServiceUnavailable, webhook.status, webhook.text)
	for _, r := range routes() {
		about := l.ours
		if r.oneself {
			about.member = l.alex.id
		}
		a := l.call(r, about, l.alex.token)
		if r.kind == forMembers {
			require.Equal(l.t, http.StatusServiceUnavailable, a.status, "%s: %s", r.name(), a.text)
		}
		l.call(r, l.ours, l.ServiceToken)
	}
}

// operatorsLook collects the pages and commands of operators.
func (l *leaks) operatorsLook(when string) {
	l.t.Helper()
	for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
		_, l.pages[path+", "+when] = l.Text(l.t, path)
	}
	given := map[string]string{"DATABASE_URL": l.Config.DatabaseURL, "CLERK_SECRET_KEY": l.Clerk.SecretKey(), "CLERK_WEBHOOK_SIGNING_SECRET": l.Secret}
	env := os.Environ()
	for _, s := range (config.Config{}).Settings() {
		env = append(env, s.Name+"="+given[s.Name])
	}
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"config"}, {"doctor"}, {"doctor", "--json"}, {"deliveries", "list"}} {
		command := exec.CommandContext(l.t.Context(), l.binary, args...)
		command.Env = env
		out, errs := strings.Builder{}, strings.Builder{}
		command.Stdout, command.Stderr = &out, &errs
		err := command.Run() // some fail by design
		l.pages[strings.Join(args, " ")+", "+when] = out.String()
		l.requireNone("command", map[string]string{strings.Join(args, " "): out.String() + errs.String()}, append(l.secrets(), l.personal()...))
		require.NotEmpty(l.t, out.String()+errs.String(), "%v: %v", args, err)
	}
}

// requireTheOtherWorkspaceIsSilent requires that people outside the other workspace got none of its
// data, and that its own admin got all of it.
func (l *leaks) requireTheOtherWorkspaceIsSilent() {
	l.t.Helper()
	needles := append(l.ids(l.theirs, l.zeb), "Southernmost", "theirguest", "zebulonia", "Zebulonia", "quillonia", "Quillonia", l.report)
	theirs := strings.Builder{}
	for _, text := range l.said(l.zeb.token) {
		theirs.WriteString(text)
	}
	for _, needle := range needles {
		require.Contains(l.t, theirs.String(), needle, "the test searches for data that is never shown")
	}
	for _, caller := range append([]person{l.alex, l.robin}, l.outsiders...) {
		l.requireNone("answer to "+caller.name, l.said(caller.token), needles)
	}
}

// said returns all answers to the bearer of a token, headers included; "" stands for all bearers.
// It leaves out the OpenAPI document, which is public.
func (l *leaks) said(token string) map[string]string {
	texts := map[string]string{}
	for _, a := range l.answers {
		if (token != "" && a.asked != token) || a.header.Get("Content-Type") == "application/yaml" {
			continue
		}
		text := strings.Builder{}
		require.NoError(l.t, a.header.Write(&text))
		text.WriteString(a.text)
		texts[text.String()] = text.String()
	}
	return texts
}

// secrets returns the texts that must never be shown.
func (l *leaks) secrets() []string {
	l.t.Helper()
	database, err := url.Parse(l.Config.DatabaseURL)
	require.NoError(l.t, err)
	password, _ := database.User.Password()
	require.NotEmpty(l.t, password)
	_, hash, _ := strings.Cut(l.Config.ServiceTokens, ":")
	all := []string{
		password, hash, l.ServiceToken, l.Clerk.SecretKey(), l.Secret, strings.TrimPrefix(l.Secret, "whsec_"), l.Config.SigningSecrets[1],
		"ticket=",
	}
	for _, p := range append([]person{l.alex, l.robin, l.zeb}, l.outsiders...) {
		all = append(all, p.token, p.token[strings.LastIndex(p.token, ".")+1:])
	}
	for _, invitation := range l.Clerk.Directory().Invitations {
		if invitation.URL != "" {
			all = append(all, invitation.URL)
		}
	}
	return all
}

// personal returns the texts that identify people.
func (l *leaks) personal() []string {
	return []string{
		"@callmine.test", "Alexandrine", "Robinette", "Zebulonia", "Quillonia", "Formeria", "Strangeria",
		"Northernmost", "Southernmost",
	}
}

// internals returns parts of internal texts: of our own errors, Postgres, its driver, the network,
// the runtime and Clerk.
func internals() []string {
	return []string{
		clerksync.ErrUnavailable.Error(), clerksync.ErrUnauthorized.Error(), clerksync.ErrRateLimited.Error(),
		clerksync.ErrNotRecorded.Error(), clerksync.ErrOutcomeUnknown.Error(), "circuit breaker",
		"SQLSTATE", "jackc/pgx", "pgx:", "pgxpool", "pgconn", "FATAL", "dial tcp", "127.0.0.1", "connection re", "unexpected EOF", "deadline", "context canceled",
		"closed pool", "[running]", "runtime error", ".go:", "/tmp/", "/usr/", "/home/", "/root/", "a fault demands", "clerk_trace", "<html",
		"invalid character", "unmarshal",
	}
}

// ids returns the ids of sites and people.
func (l *leaks) ids(of ...any) []string {
	all := []string{}
	for _, one := range of {
		switch it := one.(type) {
		case site:
			all = append(all, it.workspace, it.member, it.invitation)
		case person:
			all = append(all, it.id)
		}
	}
	return all
}

// requireNone requires that no text has any of the needles.
func (l *leaks) requireNone(what string, texts map[string]string, needles []string) {
	l.t.Helper()
	for name, text := range texts {
		for _, needle := range needles {
			if i := strings.Index(text, needle); i >= 0 {
				require.Fail(l.t, "leak in "+what, "%q in %.60s: …%s…", needle, name, text[max(0, i-300):min(len(text), i+len(needle)+100)])
			}
		}
	}
}

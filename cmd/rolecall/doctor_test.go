package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/doctor"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// patient is an environment in which serve runs, and which a test then breaks.
func patient(t *testing.T) *sweepBundle {
	t.Helper()
	b := sweeping(t, 2)
	for name, value := range goodEnv() {
		if _, ok := b.env[name]; !ok {
			b.env[name] = value
		}
	}
	api, err := url.Parse(b.env["CLERK_API_URL"])
	require.NoError(t, err)
	b.env["CLERK_JWKS_URL"] = "http://" + api.Host + "/.well-known/jwks.json"
	return b
}

// examined runs the doctor with and without --json, and requires that both agree.
func (b *sweepBundle) examined(t *testing.T, want int) (e doctor.Examination, text string) {
	t.Helper()
	code, out, errs := runCommand(t, b.env, "doctor", "--json")
	require.Equal(t, want, code, out+errs)
	require.NoError(t, json.Unmarshal([]byte(out), &e), out)
	code, text, errs = runCommand(t, b.env, "doctor")
	require.Equal(t, want, code, text+errs)
	require.Equal(t, want == exitOK, e.OK)
	for i, todo := range e.Todo {
		require.Contains(t, text, todo, i)
	}
	return e, text
}

// findings returns the findings of a check.
func findings(e doctor.Examination, check string) (found []doctor.Finding) {
	for _, f := range e.Checks {
		if f.Check == check {
			found = append(found, f)
		}
	}
	return found
}

//nolint:paralleltest // the environment belongs to the process
func TestDoctor_FindsAllWell(t *testing.T) {
	b := patient(t)
	b.report(t, exitOK, "backfill")
	e, text := b.examined(t, exitOK)
	for _, check := range []string{
		"settings", "schema", "clock of Postgres", "clock of Clerk", "signing keys", "Clerk instance", "Clerk's list of memberships",
		"Clerk's list of permissions", "instance of the mirror", "last clean sweep", "ROLECALL_LISTEN_ADDR", "ROLECALL_ADMIN_ADDR",
	} {
		require.Len(t, findings(e, check), 1, "%s in %s", check, text)
		require.Equal(t, doctor.VerdictOK, findings(e, check)[0].State, "%s in %s", check, text)
	}
	require.Regexp(t, `PostgreSQL \d+`, findings(e, "DATABASE_URL")[0].Detail)
	require.Contains(t, findings(e, "signing keys")[0].Detail, "1 from Clerk")
	require.Contains(t, findings(e, "Clerk instance")[0].Detail, b.clerk.InstanceID())
	require.Contains(t, findings(e, "Clerk's list of memberships")[0].Detail, "2 in all")
	require.Equal(t, doctor.VerdictWarning, findings(e, "last webhook")[0].State, "none ever came")
	var calls int
	require.NoError(t, b.db.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.clerk_calls WHERE held = 0 AND cardinality(sent) > 0").Scan(&calls))
	require.Positive(t, calls, "all processes count doctor's calls")
	code, _, _ := runCommand(t, b.env, "doctor", "--nonsense")
	require.Equal(t, exitUsage, code)
}

// TestDoctor_NamesEachFault: doctor names the fault and the cure, and completes the other checks.
//
//nolint:paralleltest // the environment belongs to the process
func TestDoctor_NamesEachFault(t *testing.T) {
	refusing := func(path string, status int, body string) func(*testing.T, *sweepBundle) {
		return func(_ *testing.T, b *sweepBundle) {
			b.spoiled(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != path {
					return false
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
				return true
			})
		}
	}
	set := func(name, value string) func(*testing.T, *sweepBundle) {
		return func(_ *testing.T, b *sweepBundle) { b.env[name] = value }
	}
	for name, tc := range map[string]struct {
		ill    func(*testing.T, *sweepBundle)
		check  string
		state  doctor.Verdict
		detail string // a part of it
		cure   string
	}{
		"a setting":   {set("ROLECALL_LISTEN_ADDR", "8080"), "settings", doctor.VerdictWrong, "ROLECALL_LISTEN_ADDR", "write host:port"},
		"no database": {set("DATABASE_URL", "postgres://u:opensesame@127.0.0.1:1/none"), "DATABASE_URL", doctor.VerdictWrong, "refused", "check that Postgres runs"},
		"never migrated": {
			func(t *testing.T, b *sweepBundle) {
				t.Helper()
				b.env["DATABASE_URL"] = pgtest.EmptyURL(t)
			}, "schema", doctor.VerdictWrong, "no schema", "rolecall migrate",
		},
		"a role without rights": {withoutRights, "DATABASE_URL", doctor.VerdictWrong, "may not use the schema", "GRANT USAGE"},
		"a timeline that isn't told": {
			func(t *testing.T, b *sweepBundle) {
				t.Helper()
				pgtest.Untold(t, b.env["DATABASE_URL"], "55000")
			}, "DATABASE_URL", doctor.VerdictWarning, "its timeline", "Ask what your role may read",
		},
		"another database to read": {
			func(t *testing.T, b *sweepBundle) {
				t.Helper()
				b.env["ROLECALL_READ_DATABASE_URL"] = pgtest.URL(t)
			},
			"ROLECALL_READ_DATABASE_URL", doctor.VerdictWrong, "another database", "the same database",
		},
		"a wrong key":      {set("CLERK_SECRET_KEY", "sk_test_opensesame"), "Clerk instance", doctor.VerdictWrong, "status 401", "CLERK_SECRET_KEY"},
		"another instance": {set("CLERK_INSTANCE_ID", "ins_other"), "Clerk instance", doctor.VerdictWrong, "ins_other", "two environments"},
		"a mirror of another": {
			func(t *testing.T, b *sweepBundle) {
				t.Helper()
				other := patient(t)
				other.report(t, exitOK, "backfill")
				_, err := other.db.Exec(t.Context(), "UPDATE rolecall.sweeps SET instance_id = 'ins_other'")
				require.NoError(t, err)
				b.env["DATABASE_URL"] = other.env["DATABASE_URL"]
			}, "instance of the mirror", doctor.VerdictWrong, "ins_other", "two environments",
		},
		"a feature that is off": {
			refusing("/v1/organization_domains", http.StatusForbidden, `{"errors":[{"code":"organization_domains_not_enabled","message":"off"}]}`),
			"Clerk's list of domains", doctor.VerdictWarning, "organization_domains_not_enabled", "in your plan",
		},
		"organizations are off": {
			refusing("/v1/organizations", http.StatusForbidden, `{"errors":[{"code":"organization_not_enabled_in_instance","message":"off"}]}`),
			"Clerk's list of organizations", doctor.VerdictWrong, "organization_not_enabled_in_instance", "in your plan",
		},
		"control characters": {
			refusing("/v1/organization_domains", http.StatusForbidden, `{"errors":[{"code":"x\u001b[2J\u009b2J","message":"\u202eoff"}]}`),
			"Clerk's list of domains", doctor.VerdictWarning, "", "",
		},
		"no keys": {refusing("/.well-known/jwks.json", http.StatusNotFound, ""), "signing keys", doctor.VerdictWrong, "status 404", "CLERK_ISSUER"},
		"an unreachable JWKS URL": {
			set("CLERK_JWKS_URL", "http://user:opensesame@127.0.0.1:1/jwks?key=opensesame"), "signing keys", doctor.VerdictWrong, "refused", "CLERK_JWKS_URL",
		},
		"a clock": {
			func(_ *testing.T, b *sweepBundle) {
				b.spoiled(func(w http.ResponseWriter, _ *http.Request) bool {
					w.Header().Set("Date", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))
					return false
				})
			}, "clock of Clerk", doctor.VerdictWrong, "differs", "NTP",
		},
		"an endpoint without sessions": {webhooks(100, ""), "ends of sessions", doctor.VerdictWarning, "none came", "session.revoked"},
		"an endpoint that lost them":   {webhooks(100, "25 hours"), "ends of sessions", doctor.VerdictWarning, "none came", "session.revoked"},
		"an endpoint with sessions":    {webhooks(100, "23 hours"), "ends of sessions", doctor.VerdictOK, "some came", ""},
		"few webhooks":                 {webhooks(99, ""), "ends of sessions", doctor.VerdictOK, "unknown", ""},
		"a taken address": {
			func(t *testing.T, b *sweepBundle) {
				t.Helper()
				other := httptest.NewServer(http.NotFoundHandler())
				t.Cleanup(other.Close)
				b.env["ROLECALL_LISTEN_ADDR"] = other.Listener.Addr().String()
			}, "ROLECALL_LISTEN_ADDR", doctor.VerdictWarning, "is in use", "another address",
		},
		"an address of another machine": {set("ROLECALL_ADMIN_ADDR", "192.0.2.1:9090"), "ROLECALL_ADMIN_ADDR", doctor.VerdictWrong, "assign", "of this machine"},
	} {
		t.Run(name, func(t *testing.T) {
			b := patient(t)
			b.report(t, exitOK, "backfill")
			tc.ill(t, b)
			code := exitOK
			if tc.state == doctor.VerdictWrong {
				code = exitError
			}
			e, text := b.examined(t, code)
			found := findings(e, tc.check)
			require.NotEmpty(t, found, text)
			i := max(0, slices.IndexFunc(found, func(f doctor.Finding) bool { return f.State == tc.state && strings.Contains(f.Detail, tc.detail) }))
			require.Equal(t, tc.state, found[i].State, text)
			require.Contains(t, found[i].Detail, tc.detail)
			require.Contains(t, found[i].Cure, tc.cure)
			require.NotContains(t, text, "opensesame")
			require.False(t, strings.ContainsAny(text, "\x1b\u009b\u202e"), text)
			require.NotEmpty(t, findings(e, "ROLECALL_ADMIN_ADDR"), "the other checks are complete")
			if tc.state == doctor.VerdictWrong {
				require.Contains(t, text, "  1. "+tc.check, "faults come first")
			}
		})
	}
}

// webhooks makes the patient get webhooks, perhaps with the end of a session so long ago.
func webhooks(n int, sessionEnded string) func(*testing.T, *sweepBundle) {
	return func(t *testing.T, b *sweepBundle) {
		t.Helper()
		_, err := b.db.Exec(t.Context(), `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body_sha256, state)
			SELECT 'msg_' || n, 'session.created', '', '', '', now(), now(), '', 'ignored' FROM generate_series(1, $1) n`, n)
		require.NoError(t, err)
		if sessionEnded != "" {
			_, err = b.db.Exec(t.Context(), "INSERT INTO rolecall.ended_sessions (id, ended_at) VALUES ('sess_1', now() - $1::text::interval)", sessionEnded)
			require.NoError(t, err)
		}
	}
}

// withoutRights makes the patient connect as a role without rights.
func withoutRights(t *testing.T, b *sweepBundle) {
	t.Helper()
	cfg, err := pgx.ParseConfig(b.env["DATABASE_URL"])
	require.NoError(t, err)
	role := "powerless_" + strings.ToLower(rand.Text()) // short enough to be kept whole
	_, err = b.db.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN")
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		admin, err := pgx.ConnectConfig(ctx, cfg)
		require.NoError(t, err)
		_, err = admin.Exec(ctx, "DROP ROLE "+role) // it owns nothing
		require.NoError(t, err)
		require.NoError(t, admin.Close(ctx))
	})
	u, err := url.Parse(b.env["DATABASE_URL"])
	require.NoError(t, err)
	u.User = url.User(role)
	b.env["DATABASE_URL"] = u.String()
}

// TestDoctor_EndsWhileNothingAnswers: each check has five seconds, and the checks run at once.
//
//nolint:paralleltest // the environment belongs to the process
func TestDoctor_EndsWhileNothingAnswers(t *testing.T) {
	clerk, _ := servicetest.HangingClerk(t)
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts connections, and never answers
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, silent.Close()) })
	env := goodEnv()
	env["DATABASE_URL"] = "postgres://u:opensesame@" + silent.Addr().String() + "/db?sslmode=disable"
	env["CLERK_SECRET_KEY"], env["CLERK_API_URL"], env["CLERK_JWKS_URL"] = "sk_test_opensesame", clerk+"/v1", clerk+"/jwks"
	began := time.Now()
	code, out, errs := runCommand(t, env, "doctor")
	require.Equal(t, exitError, code, out)
	require.Less(t, time.Since(began), 10*time.Second)
	for _, check := range []string{"DATABASE_URL", "signing keys", "Clerk instance"} {
		require.Regexp(t, "wrong +"+check, out)
	}
	require.NotContains(t, out+errs, "opensesame")
}

// TestDoctor_WithoutSettings names every missing setting.
//
//nolint:paralleltest // the environment belongs to the process
func TestDoctor_WithoutSettings(t *testing.T) {
	code, out, _ := runCommand(t, nil, "doctor")
	require.Equal(t, exitError, code)
	for _, missing := range []string{"DATABASE_URL is missing", "CLERK_ISSUER is missing", "CLERK_WEBHOOK_SIGNING_SECRET is missing", "CLERK_SECRET_KEY"} {
		require.Contains(t, out, missing)
	}
}

// TestDoctor_BesideARunningServe recognizes the serve at its addresses.
//
//nolint:paralleltest // the environment belongs to the process
func TestDoctor_BesideARunningServe(t *testing.T) {
	b := servicetest.Start(t, pgtest.URL(t), nil, config.Parts{Web: true, Workers: true}, servicetest.AsksClerk)
	cfg := b.Config
	env := map[string]string{
		"DATABASE_URL": cfg.DatabaseURL, "CLERK_WEBHOOK_SIGNING_SECRET": b.Secret, "CLERK_ISSUER": cfg.Issuer, "CLERK_JWKS_URL": cfg.JWKSURL,
		"CLERK_SECRET_KEY": cfg.SecretKey, "CLERK_API_URL": cfg.APIURL, "ROLECALL_LISTEN_ADDR": b.Service.WebAddr, "ROLECALL_ADMIN_ADDR": b.Service.AdminAddr,
	}
	_, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	b.Open(t, cfg.DatabaseURL)
	b.Send(t, b.Clerk.Drain()...)
	_, out, _ := runCommand(t, env, "doctor")
	require.Regexp(t, "ok +ROLECALL_LISTEN_ADDR +a serve answers", out)
	require.Regexp(t, "(ok|warning) +ROLECALL_ADMIN_ADDR +a serve (answers|at)", out)
	require.Regexp(t, "ok +last webhook +2", out)
}

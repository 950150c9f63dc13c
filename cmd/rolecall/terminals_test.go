package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/store"
)

// requireShown runs a command and requires that its output is printable. It returns both streams.
func requireShown(t *testing.T, env map[string]string, want int, args ...string) string {
	t.Helper()
	code, out, errs := runCommand(t, env, args...)
	require.Equal(t, want, code, "%v: %s%s", args, out, errs)
	requirePrintable(t, out)
	requirePrintable(t, errs)
	return out + errs
}

// TestTerminals_AreSafeFromTheLedger: senders and Clerk's users choose the texts of a delivery.
//
//nolint:paralleltest // the environment belongs to the process
func TestTerminals_AreSafeFromTheLedger(t *testing.T) {
	b := servicetest.Setup(t, nil)
	env := map[string]string{"DATABASE_URL": b.Config.DatabaseURL, "CLERK_INSTANCE_ID": b.Clerk.InstanceID()}
	body := `{"name":"` + strings.NewReplacer("\n", `\n`, "\t", `\t`, "\r", `\r`, "\v", `\u000b`, "\f", `\f`, "\a", `\u0007`, "\b", `\b`, "\x1b", `\u001b`).Replace(hostile) + `"}`
	require.True(t, json.Valid([]byte(body)))
	_, err := b.DB.Exec(t.Context(), `INSERT INTO rolecall.deliveries
		(svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state, last_error)
		VALUES ('msg_1' || $1, 'type' || $1, 'user_' || $1, 'org_' || $1, 'ins_' || $1, now(), now(), $2, '\x00', 'quarantined', 'error' || $1)`,
		hostile, body)
	require.NoError(t, err)
	svixID := "msg_1" + hostile

	list := requireShown(t, env, exitOK, "deliveries", "list")
	for _, row := range strings.Split(strings.TrimSpace(list), "\n")[1:] {
		require.Regexp(t, "^  |^[0-9]", row, "no text forges a row")
	}
	require.Contains(t, list, `org_\u009b31m`)
	show := requireShown(t, env, exitOK, "deliveries", "show", svixID)
	require.Contains(t, show, `"name": "\u009b31mred`)
	requireShown(t, env, exitOK, "deliveries", "list", "--json")
	requireShown(t, env, exitOK, "deliveries", "list", "--csv")
	entries, _ := listedDeliveries(t, env)
	require.Equal(t, svixID, entries[0].SvixID)
	require.Equal(t, "org_"+hostile, entries[0].OrganizationID)
	var entry store.LedgerRow
	require.NoError(t, json.Unmarshal([]byte(requireShown(t, env, exitOK, "deliveries", "show", svixID, "--json")), &entry))
	require.Equal(t, body, *entry.Body, "programs get it unchanged")
	requireShown(t, env, exitError, "deliveries", "show", "msg_none"+hostile)
	requireShown(t, env, exitError, "deliveries", "replay", "msg_none"+hostile)
	requireShown(t, env, exitUsage, "deliveries", "list", "--since", hostile)
	requireShown(t, env, exitUsage, "deliveries", "list", "--user", hostile)
	requireShown(t, env, exitUsage, "deliveries", "list", "--after", hostile)
	requireShown(t, env, exitUsage, "deliveries", "list", "--state", hostile)
	requireShown(t, env, exitUsage, hostile)
	requireShown(t, env, exitUsage, "\x9b\xff")

	_, err = b.DB.Exec(t.Context(), `INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, reason, progress, report)
		VALUES ('t' || $1, '', false, 'ins_1', now(), now(), now(), 'aborted', 'r' || $1, '{}', json_build_object('detail', 'd' || $1))`, hostile)
	require.NoError(t, err)
	_, err = b.DB.Exec(t.Context(), `INSERT INTO rolecall.drift VALUES ('k' || $1, 'd' || $1, 'c' || $1, 1)`, hostile)
	require.NoError(t, err)
	require.Contains(t, strings.Join(strings.Fields(requireShown(t, env, exitOK, "status")), " "), `ALARM sweep_aborted: sweep_1 was stopped: r\u009b`)
	requireShown(t, env, exitOK, "status", "--json")

	_, err = b.DB.Exec(t.Context(), `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ('org_' || $1, 'a.b', 'c' || $1, now(), 'd')`, hostile)
	require.NoError(t, err)
	for _, as := range []string{"--limit=9", "--json", "--csv"} {
		require.Contains(t, requireShown(t, env, exitOK, "audit", "list", as), `org_\u009b31m`)
	}
	tamper(t, b, "UPDATE rolecall.audit_log SET actor = 'user_2' || organization_id")
	require.Contains(t, requireShown(t, env, exitGuard, "audit", "verify"), `org_\u009b31m`)
	requireShown(t, env, exitGuard, "audit", "verify", "--json")
	requireShown(t, env, exitError, "audit", "verify", "--workspace", hostile)
}

// TestTerminals_AreSafeFromClerk: a sweep prints Clerk's objects and errors.
//
//nolint:paralleltest // the environment belongs to the process
func TestTerminals_AreSafeFromClerk(t *testing.T) {
	b := sweeping(t, 2)
	b.report(t, exitOK, "backfill")
	b.spoiled(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/users" {
			return false
		}
		text, err := json.Marshal([]any{map[string]any{"id": "user_" + hostile, "first_name": hostile, "created_at": 1, "updated_at": 1}})
		if err == nil {
			_, err = w.Write(text)
		}
		return err == nil
	})
	for _, args := range [][]string{{"reconcile", "--dry-run"}, {"reconcile", "--dry-run", "--json"}, {"reconcile"}} {
		code, out, errs := runCommand(t, b.env, args...)
		requirePrintable(t, out)
		requirePrintable(t, errs)
		require.Contains(t, out+errs, `\u009b31m`, "%d: it is shown, escaped", code)
	}
	b.spoiled(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusUnauthorized)
		text, err := json.Marshal(map[string]any{"errors": []any{map[string]any{"code": hostile, "message": hostile, "long_message": hostile}}})
		if err == nil {
			_, err = w.Write(text)
		}
		return err == nil
	})
	requireShown(t, b.env, exitGuard, "reconcile")
	requireShown(t, b.env, exitOK, "status")
}

// TestTerminals_AreSafeFromTheConfiguration: the environment, and the policy file with its name.
//
//nolint:paralleltest // the environment belongs to the process
func TestTerminals_AreSafeFromTheConfiguration(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy"+strings.ReplaceAll(hostile, "/", "")+".yaml")
	require.NoError(t, os.WriteFile(policy, []byte("roles:\n  org:admin: [members:manage, \"org:X:\\u009b\"]\n  \"org:\\u202e\\n\": [\"a\\e[2J\"]\n"), 0o600))
	env := map[string]string{
		"CLERK_ISSUER": "https://" + hostile, "CLERK_INSTANCE_ID": "ins_" + hostile, "CLERK_AUTHORIZED_PARTIES": hostile,
		"ROLECALL_LISTEN_ADDR": hostile, "DATABASE_URL": hostile,
	}
	out := requireShown(t, env, exitError, "config")
	require.Contains(t, out, `ins_\u009b31m`)
	env["ROLECALL_POLICY_FILE"] = policy
	requireShown(t, env, exitError, "config")
	env["ROLECALL_SWEEP_INTERVAL"] = hostile
	requireShown(t, env, exitError, "config")
	requireShown(t, env, exitError, "serve")
	requireShown(t, env, exitError, "migrate")
	requireShown(t, env, exitError, "status")
	requireShown(t, map[string]string{"DATABASE_URL": "postgres://127.0.0.1:1/" + hostile}, exitError, "migrate")
}

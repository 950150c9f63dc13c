package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// appendEvent appends an event as a service does, over HTTP.
func appendEvent(t *testing.T, b *servicetest.Bundle, workspace, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.Web("/v1/workspaces/"+workspace+"/audit"), strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	status, _ := b.Do(t, request, b.ServiceToken)
	return status
}

// TestAudit_VerifyFindsEveryChange verifies the entries of webhooks and of services, beside a
// running service.
//
//nolint:paralleltest // the environment belongs to the process
func TestAudit_VerifyFindsEveryChange(t *testing.T) {
	b := servicetest.Setup(t, nil)
	workspace, _, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	for i := range 3 {
		require.Equal(t, http.StatusCreated, appendEvent(t, b, workspace, fmt.Sprintf(`{"actor":"user_1","action":"report.run","target":"report_%d"}`, i)))
	}
	env := map[string]string{"DATABASE_URL": b.Config.DatabaseURL}
	verify := func(want int, args ...string) (result verifiedAudit) {
		code, out, errs := runCommand(t, env, append([]string{"audit", "verify", "--json"}, args...)...)
		require.Equal(t, want, code, errs)
		require.NoError(t, json.Unmarshal([]byte(out), &result))
		return result
	}
	all := verify(exitOK)
	require.Empty(t, all.Broken)
	var entries int64
	require.NoError(t, b.DB.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.audit_log").Scan(&entries))
	require.Equal(t, entries, all.Entries)
	one := verify(exitOK, "--workspace", workspace)
	require.EqualValues(t, 1, one.Chains)
	require.Equal(t, one.Entries, one.Heads[0].LastID)
	require.Len(t, one.Heads[0].LastHash, 64)
	require.Contains(t, all.Heads, one.Heads[0])
	code, _, errs := runCommand(t, env, "audit", "verify", "--workspace", "org_unknown")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "org_unknown")

	// Another chain, which comes first, has an entry that can't even be read.
	_, err := b.DB.Exec(t.Context(), `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ('org_0', 'a.b', 'c', now(), 'd')`)
	require.NoError(t, err)
	tamper(t, b, "UPDATE rolecall.audit_log SET at = 'infinity' WHERE organization_id = 'org_0'",
		"UPDATE rolecall.audit_log SET actor = 'user_2' WHERE target = 'report_1'")
	last := one.Heads[0].LastID
	broken := verify(exitGuard)
	require.Equal(t, all.Chains+1, broken.Chains)
	require.Len(t, broken.Broken, 2)
	require.Equal(t, "org_0", broken.Broken[0].WorkspaceID)
	require.Equal(t, workspace, broken.Broken[1].WorkspaceID)
	require.Equal(t, "changed", broken.Broken[1].Tampering)
	require.Equal(t, last-1, broken.Broken[1].ID)
	code, out, errs := runCommand(t, env, "audit", "verify")
	require.Equal(t, exitGuard, code)
	require.Contains(t, out, fmt.Sprintf("%s entry %d: changed", workspace, last-1))
	require.Contains(t, errs, "2 of ")
}

// tamper changes the audit log by a superuser's way around triggers.
func tamper(t *testing.T, b *servicetest.Bundle, statements ...string) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), b.DB, func(tx pgx.Tx) error {
		for _, sql := range append([]string{"SET LOCAL session_replication_role = replica"}, statements...) {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	}))
}

// TestAudit_VerifyComparesWithAnEarlierRun: a chain rewritten from its middle, one cut off, and one
// deleted with its head each look intact by themselves. The earlier run shows the difference.
//
//nolint:paralleltest // the environment belongs to the process
func TestAudit_VerifyComparesWithAnEarlierRun(t *testing.T) {
	b := servicetest.Setup(t, nil)
	insert := func(organizations ...string) {
		for _, organization := range organizations {
			_, err := b.DB.Exec(t.Context(), `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause)
				SELECT $1, 'report.run', 'report_' || n, '2026-01-02', 'service:reports' FROM generate_series(1, 4) n`, organization)
			require.NoError(t, err)
		}
	}
	insert("org_anew", "org_cut", "org_gone", "org_grown")
	env := map[string]string{"DATABASE_URL": b.Config.DatabaseURL}
	verify := func(want int, args ...string) (result verifiedAudit, out string) {
		code, out, errs := runCommand(t, env, append([]string{"audit", "verify", "--json"}, args...)...)
		require.Equal(t, want, code, errs)
		require.NoError(t, json.Unmarshal([]byte(out), &result))
		return result, out
	}
	_, printed := verify(exitOK)
	earlier := filepath.Join(t.TempDir(), "earlier.json")
	require.NoError(t, os.WriteFile(earlier, []byte(printed), 0o600))
	verify(exitOK, "--since", earlier)

	tamper(t, b, `CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM rolecall.audit_log WHERE organization_id = 'org_anew' ORDER BY seq`,
		"DELETE FROM rolecall.audit_log WHERE organization_id IN ('org_anew', 'org_gone')",
		"DELETE FROM rolecall.audit_heads WHERE organization_id IN ('org_anew', 'org_gone')",
		"SET LOCAL session_replication_role = origin", // the trigger itself writes the chain
		`INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause)
			SELECT organization_id, action, CASE seq WHEN 2 THEN 'forged' ELSE target END, at, cause FROM kept ORDER BY seq`,
		"SET LOCAL session_replication_role = replica",
		"DELETE FROM rolecall.audit_log WHERE organization_id = 'org_cut' AND seq > 2",
		`UPDATE rolecall.audit_heads h SET (seq, prev_hash, hash) =
			(SELECT seq, prev_hash, hash FROM rolecall.audit_log WHERE organization_id = 'org_cut' AND seq = 2) WHERE organization_id = 'org_cut'`)
	insert("org_grown", "org_new")
	verify(exitOK) // no chain shows its tampering by itself
	compared, printed := verify(exitGuard, "--since", earlier)
	require.EqualValues(t, 4, compared.Compared, "org_new is of today")
	require.EqualValues(t, 5, compared.Chains)
	found := map[string]string{}
	for _, broken := range compared.Broken {
		found[broken.WorkspaceID] = fmt.Sprint(broken.Tampering, " ", broken.ID)
	}
	require.Equal(t, map[string]string{"org_anew": "changed 4", "org_cut": "missing 3", "org_gone": "missing 1"}, found)
	one, _ := verify(exitOK, "--since", earlier, "--workspace", "org_grown")
	require.EqualValues(t, 1, one.Compared)
	require.Equal(t, []chainHead{{"org_grown", 8, one.Heads[0].LastHash}}, one.Heads, "the current head of an intact chain")
	verify(exitGuard, "--since", earlier, "--workspace", "org_gone")
	code, out, _ := runCommand(t, env, "audit", "verify", "--since", earlier, "--workspace", "org_grown")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "as recorded: 8 entries of 1 chain\nbroken: 0 chains\ncompared with "+earlier+": 1 of 1 chain\nlast entry: 8,")

	// The output of a failed run can be compared with, too: the next run fails again.
	require.NoError(t, os.WriteFile(earlier, []byte(printed), 0o600))
	again, _ := verify(exitGuard, "--since", earlier)
	require.Equal(t, compared.Broken, again.Broken)
	require.Equal(t, compared.Heads, again.Heads)
	require.EqualValues(t, 5, again.Compared)

	code, _, errs := runCommand(t, env, "audit", "verify", "--since", earlier, "--workspace", "org_unknown")
	require.Equal(t, exitError, code, "nothing would be compared")
	require.Contains(t, errs, earlier+": it has no chain of org_unknown")
	for _, text := range []string{"", "{}", "entries: 5", `{"heads":[{"workspace_id":"org_1","last_id":1,"last_hash":"x"}]}`} {
		require.NoError(t, os.WriteFile(earlier, []byte(text), 0o600))
		code, _, errs := runCommand(t, env, "audit", "verify", "--since", earlier)
		require.Equal(t, exitError, code)
		require.Contains(t, errs, "--since "+earlier+": it isn't the output of a run with --json")
	}
}

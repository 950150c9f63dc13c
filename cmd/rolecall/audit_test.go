package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// appendEvent appends an event as a service does, over HTTP.
func (b *bundle) appendEvent(t *testing.T, workspace, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.web("/v1/workspaces/"+workspace+"/audit"), strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	status, _ := b.do(t, request, b.service)
	return status
}

// TestTheAuditLogIsVerified by a command, on a service that runs: what webhooks told and what services appended.
//
//nolint:paralleltest // the environment belongs to the process
func TestTheAuditLogIsVerified(t *testing.T) {
	b := setup(t, nil)
	workspace, _, _, messages := team(t, b)
	b.send(t, messages...)
	for i := range 3 {
		require.Equal(t, http.StatusCreated, b.appendEvent(t, workspace, fmt.Sprintf(`{"actor":"user_1","action":"report.run","target":"report_%d"}`, i)))
	}
	env := map[string]string{"DATABASE_URL": b.program.cfg.DatabaseURL}
	verify := func(want int, args ...string) (result verifiedAudit) {
		code, out, errs := runCommand(t, env, append([]string{"audit", "verify", "--json"}, args...)...)
		require.Equal(t, want, code, errs)
		require.NoError(t, json.Unmarshal([]byte(out), &result))
		return result
	}
	all := verify(exitOK)
	require.Empty(t, all.Broken)
	var entries int64
	require.NoError(t, b.db.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.audit_log").Scan(&entries))
	require.Equal(t, entries, all.Entries)
	one := verify(exitOK, "--workspace", workspace)
	require.EqualValues(t, 1, one.Chains)
	require.Equal(t, one.Entries, one.LastID)
	require.Len(t, one.LastHash, 64)
	code, _, errs := runCommand(t, env, "audit", "verify", "--workspace", "org_unknown")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "org_unknown")

	connection, err := b.db.Acquire(t.Context())
	require.NoError(t, err)
	for _, sql := range []string{
		"SET session_replication_role = replica", // a superuser's way around triggers
		"UPDATE rolecall.audit_log SET actor = 'user_2' WHERE target = 'report_1'", "RESET session_replication_role",
	} {
		_, err := connection.Exec(context.WithoutCancel(t.Context()), sql)
		require.NoError(t, err)
	}
	connection.Release()
	broken := verify(exitGuard)
	require.Equal(t, all.Chains, broken.Chains)
	require.Len(t, broken.Broken, 1)
	require.Equal(t, workspace, broken.Broken[0].WorkspaceID)
	require.Equal(t, "changed", broken.Broken[0].Tampering)
	require.Equal(t, one.LastID-1, broken.Broken[0].ID)
	code, out, errs := runCommand(t, env, "audit", "verify")
	require.Equal(t, exitGuard, code)
	require.Contains(t, out, fmt.Sprintf("%s entry %d: changed", workspace, one.LastID-1))
	require.Contains(t, errs, "1 of ")
}

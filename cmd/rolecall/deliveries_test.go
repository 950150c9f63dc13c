package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
)

//nolint:paralleltest // the environment belongs to the process
func TestDeliveries_ListShowAndReplay(t *testing.T) {
	b := servicetest.Setup(t, nil)
	workspace, _, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	foreign, err := clerksim.New(clerksim.Config{Seed: 7, InstanceID: "ins_examples"})
	require.NoError(t, err)
	_, err = foreign.CreateUser(clerksim.NewUser{FirstName: "Example"})
	require.NoError(t, err)
	example := foreign.Drain()[0]
	b.Send(t, example)
	require.Equal(t, "quarantined", b.State(t, example.ID), "the dashboard's examples are of another instance")
	require.Contains(t, b.Log.String(), "delivery quarantined")
	env := map[string]string{"DATABASE_URL": b.Config.DatabaseURL, "CLERK_INSTANCE_ID": b.Clerk.InstanceID()}

	list := func(args ...string) []store.LedgerRow {
		rows, _ := listedDeliveries(t, env, args...)
		return rows
	}
	require.Len(t, list(), len(messages)+1)
	require.Len(t, list("--limit", "2"), 2)
	require.Equal(t, list(), pagedDeliveries(t, env), "pages are the list")
	require.Equal(t, list(), list("--all", "--limit", "1"))
	require.Equal(t, example.ID, list("--state", "quarantined")[0].SvixID)
	require.Len(t, list("--type", "organizationMembership.created", "--organization", workspace), 2)
	require.Empty(t, list("--until", "1h"))
	require.Len(t, list("--since", "1h"), len(messages)+1)

	code, out, _ := runCommand(t, env, "deliveries", "list", "--state", "quarantined")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "SVIX ID")
	require.Contains(t, out, "another Clerk instance")
	code, out, _ = runCommand(t, env, "deliveries", "show", example.ID)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, `"instance_id": "ins_examples"`)
	require.Contains(t, out, "user.created")
	require.NotContains(t, out, "replayed at", "what is empty is left out")
	_, out, _ = runCommand(t, env, "deliveries", "list", "--organization", workspace)
	require.NotContains(t, out, "WORKSPACE", "it would be the same in each row")
	code, _, errs := runCommand(t, env, "deliveries", "show", "msg_none")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "msg_none")
	for _, bad := range [][]string{
		{"replay"},
		{"replay", "msg_1", "--state", "ignored"},
		{"list", "--since", "last week"},
		{"list", "--limit", "0"},
		{"list", "--limit", "abc"},
		{"list", "--limit", "1001"},
		{"list", "--after", "nonsense"},
		{"list", "--json", "--csv"},
		{"list", "--organization", "someone@example.com"},
		{"list", "--user", "org_1"},
		{"list", "--follow", "--all"},
		{"list", "--follow", "--until", "1h"},
	} {
		code, _, errs := runCommand(t, env, append([]string{"deliveries"}, bad...)...)
		require.Equal(t, exitUsage, code, bad)
		require.NotEmpty(t, errs)
	}

	code, _, errs = runCommand(t, env, "deliveries", "list", "--state", "foo")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--state: must be one of received, applied,")

	code, out, _ = runCommand(t, env, "deliveries", "replay", "--state", "quarantined")
	require.Equal(t, exitError, code, "nothing was replayed")
	require.Contains(t, out, "not replayed: delivery of another Clerk instance")
	code, _, errs = runCommand(t, env, "deliveries", "replay", "--type", "no.such")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "no delivery matches")
	code, out, _ = runCommand(t, env, "deliveries", "replay", "--state", "quarantined", "--json")
	require.Equal(t, exitError, code, "for programs, too")
	require.Contains(t, out, `"enqueued": false`)
	code, out, _ = runCommand(t, env, "deliveries", "replay", "--type", "no.such", "--json")
	require.Equal(t, exitError, code)
	require.JSONEq(t, "[]", out)
	env["CLERK_INSTANCE_ID"] = "ins_examples" // the setting was wrong
	code, out, _ = runCommand(t, env, "deliveries", "replay", "--state", "quarantined")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, example.ID+" enqueued")
	b.Applied(t)
	require.Equal(t, "applied", b.State(t, example.ID))
}

// listedDeliveries lists deliveries as JSON. It returns the cursor of the next page, too.
func listedDeliveries(t *testing.T, env map[string]string, args ...string) (rows []store.LedgerRow, next string) {
	t.Helper()
	code, out, errs := runCommand(t, env, append([]string{"deliveries", "list", "--json"}, args...)...)
	require.Equal(t, exitOK, code, errs)
	var page struct {
		Deliveries []store.LedgerRow `json:"deliveries"`
		Next       string            `json:"next"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &page))
	return page.Deliveries, page.Next
}

// pagedDeliveries lists all deliveries in pages of two.
func pagedDeliveries(t *testing.T, env map[string]string) (all []store.LedgerRow) {
	t.Helper()
	rows, next := listedDeliveries(t, env, "--limit", "2")
	for all = rows; next != ""; all = append(all, rows...) {
		rows, next = listedDeliveries(t, env, "--limit", "2", "--after", next)
	}
	return all
}

// TestSearchLedger_SaysHowFar: a search that takes too long says how far back it came, and its next
// page continues.
func TestSearchLedger_SaysHowFar(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	_, err := pool.Exec(t.Context(), `INSERT INTO rolecall.deliveries
		(svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body_sha256, state)
		SELECT 'msg_' || n, 'user.created', '', CASE WHEN n % 30 = 0 THEN 'org_1' ELSE '' END, '', now(), now() - interval '1 minute' * n, '', 'applied'
		FROM generate_series(1, 300) n`)
	require.NoError(t, err)
	var notes strings.Builder
	read := searchLedger(t.Context(), pool, store.Filter{OrganizationID: "org_1"}, 1, &notes)
	rows, next, err := read(cursor{}, 50)
	require.NoError(t, err)
	require.Less(t, len(rows), 10)
	require.Contains(t, notes.String(), "Searched back to "+next.at.UTC().Format(time.RFC3339))
	read = searchLedger(t.Context(), pool, store.Filter{OrganizationID: "org_1"}, 0, nil)
	rest, end, err := read(next, 50)
	require.NoError(t, err)
	require.Zero(t, end)
	require.Len(t, append(rows, rest...), 10)
	require.Zero(t, (&listDeliveries{filters: filters{Since: moment{time.Now()}}}).patience())
	require.Zero(t, (&listDeliveries{paging: paging{All: true}}).patience())
	require.Equal(t, ledgerPatience, (&listDeliveries{}).patience())
}

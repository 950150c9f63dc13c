package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
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

	list := func(args ...string) (entries []store.LedgerRow) {
		code, out, errs := runCommand(t, env, append([]string{"deliveries", "list", "--json"}, args...)...)
		require.Equal(t, exitOK, code, errs)
		require.NoError(t, json.Unmarshal([]byte(out), &entries))
		return entries
	}
	require.Len(t, list(), len(messages)+1)
	require.Len(t, list("--limit", "2"), 2)
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
	require.Contains(t, out, `"instance_id":"ins_examples"`)
	require.Contains(t, out, "user.created")
	code, _, errs := runCommand(t, env, "deliveries", "show", "msg_none")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "msg_none")
	for _, bad := range [][]string{{"replay"}, {"replay", "msg_1", "--state", "ignored"}, {"list", "--since", "yesterday"}, {"list", "--limit", "0"}} {
		code, _, errs := runCommand(t, env, append([]string{"deliveries"}, bad...)...)
		require.Equal(t, exitError, code, bad)
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
	env["CLERK_INSTANCE_ID"] = "ins_examples" // the setting was wrong
	code, out, _ = runCommand(t, env, "deliveries", "replay", "--state", "quarantined")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, example.ID+" enqueued")
	b.Applied(t)
	require.Equal(t, "applied", b.State(t, example.ID))
}

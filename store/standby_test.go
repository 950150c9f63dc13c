package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestRepeats_WaitForTheStandby: a first try gave up while its commit waited for the synchronous
// standby, so only the primary has the commit. A repeat finds it there, and must not be answered
// before the standby has it, too.
func TestRepeats_WaitForTheStandby(t *testing.T) {
	t.Parallel()
	primary := pgtest.NewCluster(t, nil)
	pool, err := pgxpool.New(t.Context(), primary.Migrated("rolecall"))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	standby := primary.Standby()
	primary.Synchronous()

	key := store.CommandKey{Digest: []byte("key"), Request: []byte("request")}
	command := clerksync.Command{Actor: "user_1", Action: clerksync.ActionInvitationSent, OrganizationID: "org_1", Email: "kim@callmine.test"}
	tried, _, err := store.BeginCommand(t.Context(), pool, "cmd_1", command, key)
	require.NoError(t, err)
	deliveries := []clerksync.Delivery{delivery("msg_1", "a", clerksync.StateReceived)}
	event := store.Event{OrganizationID: "org_1", Actor: "service:a", Action: "a.b", Target: "c", Cause: "service:a"}
	waiting := func(n string) func() bool {
		return func() bool {
			return primary.Value("", "SELECT count(*)::text FROM pg_stat_activity WHERE backend_type = 'client backend' AND wait_event = 'SyncRep'") == n
		}
	}
	for _, kind := range []struct {
		name, there   string
		first, repeat func(context.Context) error
	}{
		{
			"delivery", "SELECT count(*)::text FROM rolecall.deliveries",
			func(ctx context.Context) error {
				_, err := store.AcceptDeliveries(ctx, pool, deliveries, store.Jobs{})
				return err
			},
			func(ctx context.Context) error {
				return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
					_, err := store.ReplaceQuarantined(ctx, tx, deliveries, store.Jobs{})
					return err
				})
			},
		},
		{
			"entry", "SELECT count(*)::text FROM rolecall.audit_log",
			func(ctx context.Context) error {
				_, _, err := store.AppendEvent(ctx, pool, event, key)
				return err
			},
			func(ctx context.Context) error {
				_, _, err := store.AppendEvent(ctx, pool, event, key)
				return err
			},
		},
		{
			"command", "SELECT count(*)::text FROM rolecall.commands WHERE state = 'done'",
			func(ctx context.Context) error {
				return store.EndCommand(ctx, pool, "cmd_1", tried, store.CommandDone, []byte("{}"))
			},
			func(ctx context.Context) error {
				return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
					_, _, err := store.BeginCommand(ctx, tx, "cmd_2", command, key)
					return err
				})
			},
		},
	} {
		standby.StopReceiving()
		ctx, giveUp := context.WithCancel(t.Context())
		answered := make(chan error, 1)
		go func() { answered <- kind.first(ctx) }()
		require.Eventually(t, waiting("1"), 30*time.Second, time.Millisecond, "the commit of the %s waits for the standby", kind.name)
		giveUp()
		require.Error(t, <-answered)
		require.Eventually(t, func() bool { return primary.Value("rolecall", kind.there) == "1" }, 30*time.Second, time.Millisecond,
			"the primary alone has the %s", kind.name)
		require.Eventually(t, waiting("0"), 30*time.Second, time.Millisecond)

		go func() { answered <- kind.repeat(t.Context()) }()
		require.Eventually(t, func() bool { return len(answered) > 0 || waiting("1")() }, 30*time.Second, time.Millisecond)
		require.Empty(t, answered, "the repeated %s was answered before the standby has it", kind.name)
		standby.StartReceiving()
		require.NoError(t, <-answered)
	}
}

package service_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestFollower_LearnsThatChangesWereLost: after a failover to a standby that lacks the last
// removal, a service that had heard of it is told to begin anew. One that hadn't goes on. Both hear
// of it again once the sweep has found it.
func TestFollower_LearnsThatChangesWereLost(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	primary := pgtest.NewCluster(t, nil)
	name := pgtest.NewSwitch(t, primary.Addr())
	url := name.URL(primary.Migrated("rolecall"))
	var token string
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, sweepsAtCommand,
		func(_ *servicetest.Bundle, cfg *config.Config) { token = withFollower(t, cfg) })
	b.Open(t, url)
	workspace, _, member, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	swept(t, b.DB)
	before := newFollower(b, token)
	before.catchUp(t)
	require.True(t, before.isMember(workspace, member))

	standby := primary.Standby()
	standby.CatchUp(primary)
	standby.StopReceiving()
	after := newFollower(b, token)
	require.NoError(t, b.Clerk.RemoveMember(workspace, member))
	b.Send(t, b.Clerk.Drain()...)
	after.catchUp(t)
	require.False(t, after.isMember(workspace, member))

	primary.Crash()
	standby.Promote()
	name.Turn(standby.Addr())
	name.Cut()
	lost := after.cursor
	require.Eventually(t, func() bool {
		_, _, err := after.next("wait=1")
		require.Equal(t, lost, after.cursor, "it never goes on")
		return err != nil && strings.HasPrefix(err.Error(), "410 ")
	}, 20*time.Second, time.Millisecond)
	db, err := pgxpool.New(t.Context(), standby.URL("rolecall"))
	require.NoError(t, err)
	t.Cleanup(db.Close)
	swept(t, db)
	before.catchUp(t)
	require.False(t, before.isMember(workspace, member), "the sweep found it")
	_, _, err = after.next("")
	require.ErrorContains(t, err, "cursor-expired", "also when as many changes came anew")
	anew := newFollower(b, token)
	anew.catchUp(t)
	require.False(t, anew.isMember(workspace, member))
	require.Len(t, anew.changes, len(before.changes))
}

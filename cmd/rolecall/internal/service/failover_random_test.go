package service_test

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
	"github.com/callmine/rolecall/store"
)

// TestFailover_RandomHistories: changes of members and several failovers, to standbys that have
// all, lag a little, or receive nothing. Exactly what was acknowledged and is missing is named
// after each, and after the sweep everybody who is a member at Clerk gets in, and nobody else.
func TestFailover_RandomHistories(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	f := startFailover(t)
	release := f.holdSweeps()
	defer release()
	members := map[string]bool{f.member: true, f.other: true}
	var acknowledged []string
	var db *pgxpool.Pool
	for range 4 {
		lag := rng.IntN(3)
		if lag == 0 {
			f.primary.Synchronous()
		}
		for range 1 + rng.IntN(8) {
			if lag == 1 && rng.IntN(3) == 0 {
				f.standby.StopReceiving()
				lag = 2
			}
			f.changeMember(t, rng, members)
			for _, m := range f.Clerk.Drain() {
				result, err := f.Courier.Send(t.Context(), m)
				require.NoError(t, err)
				require.Equal(t, svixsim.Delivered, result.Outcome)
				acknowledged = append(acknowledged, m.ID)
			}
		}
		before := missingFrom(t, f.Service.Pools().Admins, acknowledged)
		known, err := store.ReadStatus(t.Context(), f.Service.Pools().Admins)
		require.NoError(t, err)
		began := time.Now()
		db = f.failOver(t)
		missing := missingFrom(t, db, acknowledged)
		if lag == 0 {
			require.Equal(t, before, missing, "a synchronous standby loses nothing")
		}
		require.Eventually(t, func() bool { // if nothing is missing, only the date tells that the service has met the new primary
			read, err := store.ReadStatus(t.Context(), db)
			return err == nil && read.DatabaseChangedAt.After(known.DatabaseChangedAt) && read.Lost.Deliveries == int64(missing)
		}, 30*time.Second, 5*time.Millisecond, "%d: %s", missing, f.Log)
		t.Logf("%d of %d are missing, known after %s", missing, len(acknowledged), time.Since(began))
		require.Equal(t, missing > 0, health.HasAlarm(alarmed(t, db), health.AlarmLost))
		f.primary.Follow(f.standby)
		f.primary, f.standby = f.standby, f.primary
	}
	release()
	swept(t, db)
	f.DB = db
	f.Applied(t)
	for user, is := range members {
		want := http.StatusNotFound
		if is {
			want = http.StatusOK
		}
		require.Equal(t, want, f.May(t, f.Token(t, user), f.workspace, "reports:read"), user)
	}
	require.False(t, health.HasAlarm(alarmed(t, db), health.AlarmLost))
}

// changeMember adds a member, or lets one leave or return.
func (f *failoverBundle) changeMember(t *testing.T, rng *rand.Rand, members map[string]bool) {
	t.Helper()
	for user, is := range members { // in random order
		if rng.IntN(3) == 0 {
			break
		}
		if is {
			require.NoError(t, f.Clerk.RemoveMember(f.workspace, user))
		} else {
			_, err := f.Clerk.AddMember(f.workspace, user, clerksim.RoleMember)
			require.NoError(t, err)
		}
		members[user] = !is
		return
	}
	user, err := f.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	_, err = f.Clerk.AddMember(f.workspace, user.ID, clerksim.RoleMember)
	require.NoError(t, err)
	members[user.ID] = true
}

// missingFrom counts the deliveries that a database lacks.
func missingFrom(t *testing.T, db *pgxpool.Pool, ids []string) int {
	t.Helper()
	rows, err := db.Query(t.Context(), "SELECT svix_id FROM rolecall.deliveries WHERE svix_id = ANY ($1)", ids)
	require.NoError(t, err)
	there, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return len(ids) - len(there)
}

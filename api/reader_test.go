package api

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
)

// TestReader_APairThatPostgresRefusesFailsAlone: requests can't name such a pair. If one did, the
// others that share its query would get their answers.
func TestReader_APairThatPostgresRefusesFailsAlone(t *testing.T) {
	t.Parallel()
	db := mirrortest.New(t)
	world := &world{tb: t, db: db}
	world.member("org_1", "user_1", "org:admin", nil)
	reader := newReader(store.NewStandingReader(db.Pool))
	release := db.Hold(t, "LOCK TABLE rolecall.memberships IN ACCESS EXCLUSIVE MODE")
	var group errgroup.Group
	for i := range 40 {
		group.Go(func() error {
			pair := store.Pair{UserID: "user_1", OrganizationID: "org_1"}
			if i%2 == 1 {
				pair.UserID = "user_\x00"
				_, err := reader.Ask(t.Context(), pair)
				require.True(t, store.Refused(err), "%v", err)
				return nil
			}
			standings, err := reader.Ask(t.Context(), pair)
			if err == nil {
				require.True(t, standings[0].Member)
			}
			return err
		})
	}
	db.UntilBlocked(t, readersAtOnce)
	release()
	require.NoError(t, group.Wait())
}

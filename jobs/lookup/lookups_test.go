package lookup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/bounded"
	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
)

// asker answers each look-up as a test says, and remembers its calls and the results.
type asker struct {
	answer func(context.Context) error

	mu    sync.Mutex
	asked []store.Pair
	said  []Result
}

func (a *asker) Refresh(ctx context.Context, userID, organizationID string) error {
	a.mu.Lock()
	a.asked = append(a.asked, store.Pair{UserID: userID, OrganizationID: organizationID})
	a.mu.Unlock()
	return a.answer(ctx)
}

func (a *asker) RefreshUser(ctx context.Context, userID string) error {
	return a.Refresh(ctx, userID, "")
}

func (a *asker) told(r Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said = append(a.said, r)
}

// TestLookups_JustEndedOneIsNotRepeated: a request that read the mirror before a look-up ended, and
// comes after its end, doesn't ask once more.
func TestLookups_JustEndedOneIsNotRepeated(t *testing.T) {
	t.Parallel()
	b, now := mirrortest.New(t), time.Now()
	a := &asker{answer: func(context.Context) error { return nil }}
	l, err := New(Config{Asker: a, DB: b.Pool, Told: a.told, Now: func() time.Time { return now }, Logger: b.Logs.Logger()})
	require.NoError(t, err)
	b.Deliver(t, mirrortest.Joined(t, "msg_1", "orgmem_1", "org_1", "user_new"))
	pair := store.Pair{UserID: "user_new", OrganizationID: "org_1"}
	l.lookUp(t.Context(), pair)
	l.lookUp(t.Context(), pair)
	require.Len(t, a.asked, 1)
	require.True(t, l.Refresh(t.Context(), []store.Pair{pair, pair}), "the request must read the mirror again")
	require.Equal(t, []Result{Admitted, Remembered, Remembered}, a.said)
	require.Len(t, a.asked, 1)
	now = now.Add(answeredFor)
	l.lookUp(t.Context(), pair)
	require.Len(t, a.asked, 2)
}

// TestLookups_EndOnTime: all look-ups of one request end within a second, whatever the asker does.
func TestLookups_EndOnTime(t *testing.T) {
	t.Parallel()
	for _, keepsItsPromise := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			released := make(chan struct{})
			a := &asker{answer: func(ctx context.Context) error {
				if keepsItsPromise {
					<-ctx.Done()
					return ctx.Err()
				}
				<-released
				return errors.New("GET /organizations/org_1/memberships: 500")
			}}
			l, err := New(Config{Asker: a, DB: &pgxpool.Pool{}, Told: a.told, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			began := time.Now()
			require.True(t, l.Refresh(t.Context(), []store.Pair{
				{UserID: "user_1", OrganizationID: "org_1"}, {UserID: "user_2", OrganizationID: "org_1"}, {UserID: "user_3", OrganizationID: "org_1"},
			}))
			require.Equal(t, time.Second, time.Since(began))
			require.True(t, l.RefreshUser(t.Context(), "user_4"))
			require.Equal(t, 2*time.Second, time.Since(began))
			close(released)
			synctest.Wait()
			require.Equal(t, []Result{Failed, Failed, Failed, Failed}, a.said)
		})
	}
}

// TestLookups_MemoryIsBounded: at most maxRemembered results are remembered. Package bounded bounds
// the users.
func TestLookups_MemoryIsBounded(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t)
	a := &asker{answer: func(context.Context) error { return nil }}
	l, err := New(Config{Asker: a, DB: b.Pool, Logger: b.Logs.Logger()})
	require.NoError(t, err)
	l.answered = bounded.NewMap[store.Pair, answer](10)
	for i := range 30 {
		l.lookUp(t.Context(), store.Pair{UserID: fmt.Sprintf("user_%d", i), OrganizationID: "org_1"})
		require.LessOrEqual(t, l.answered.Len(), 10)
	}
	require.Len(t, a.asked, 30)
}

package lookup

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
)

// TestLookups_AskOnlyAboutIDsOfClerk also keeps look-ups apart. The keys of flights separate user
// and workspace by a space, and no id of Clerk's has one.
func TestLookups_AskOnlyAboutIDsOfClerk(t *testing.T) {
	t.Parallel()
	a := &asker{answer: func(context.Context) error { return errors.New("asked") }}
	l, err := New(Config{Asker: a, DB: &pgxpool.Pool{}, Told: a.told, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.False(t, l.Refresh(t.Context(), []store.Pair{
		{UserID: "user_1/../../x", OrganizationID: "org_1"}, {UserID: "user_1", OrganizationID: "org 2"}, {UserID: "user_1"},
	}))
	require.False(t, l.RefreshUser(t.Context(), "mch_1"))
	require.False(t, l.RefreshUser(t.Context(), "user_a org_1"))
	require.Empty(t, a.asked)
}

package pgpool

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// BenchmarkQueryRow compares the cost of a query with that of pgx's own pool. It is the same for
// sessions, and there is no further round trip for transactions.
func BenchmarkQueryRow(b *testing.B) {
	url := pgtest.URL(b)
	plain, err := pgxpool.New(context.WithoutCancel(b.Context()), url)
	require.NoError(b, err)
	b.Cleanup(plain.Close)
	looked, err := Open(context.WithoutCancel(b.Context()), Config{URL: url, Needs: Needs{ReadOnly: true}})
	require.NoError(b, err)
	b.Cleanup(looked.Close)
	perTransaction, err := OpenPerTransaction(context.WithoutCancel(b.Context()), Config{URL: url, Needs: Needs{ReadOnly: true}})
	require.NoError(b, err)
	b.Cleanup(perTransaction.Close)
	for _, pool := range []struct {
		name string
		db   interface {
			QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
		}
	}{{"plain", plain}, {"looked_at", Pool{looked}}, {"per_transaction", perTransaction}} {
		b.Run(pool.name, func(b *testing.B) {
			for b.Loop() {
				var n int
				require.NoError(b, pool.db.QueryRow(b.Context(), "SELECT count(*) FROM rolecall.memberships WHERE id = $1", "orgmem_1").Scan(&n))
			}
		})
	}
}

package store_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// TestProvenance_SparesTheOthersWhoManageNothing: those whose role never managed are left out
// before anything else of them is read. Else a thousand members are judged, or all of the mirror
// are read, to find that one other may manage.
func TestProvenance_SparesTheOthersWhoManageNothing(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "PREPARE asked AS "+dbsqlc.Provenance, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
		plan := strings.Join(listed(t, tx, "EXPLAIN (COSTS OFF) EXECUTE asked('{a,b}', 1000, 'org_1', 'user_1', 2000)"), "\n")
		require.Regexp(t, `Subquery Scan on first\n\s*Filter: .*managing\.permission = ANY \(first\.permissions\)`, plan)
		return nil
	}))
}

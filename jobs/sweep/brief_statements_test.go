package sweep

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// countedRows makes a role for which a statement fails that reads more rows than allowed of one of
// the tables that grow with the instance.
const countedRows = `
CREATE ROLE {role};
CREATE FUNCTION public.count_row() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    statement CONSTANT text := statement_timestamp()::text;
    rows integer := 1;
BEGIN
    IF current_setting('test.statement', true) = statement THEN
        rows := current_setting('test.rows')::integer + 1;
    END IF;
    IF rows > {allowed} THEN
        RAISE EXCEPTION 'one statement reads more than {allowed} rows';
    END IF;
    PERFORM set_config('test.statement', statement, false), set_config('test.rows', rows::text, false);
    RETURN true;
END
$$;
GRANT USAGE ON SCHEMA rolecall TO {role};
GRANT ALL ON ALL TABLES IN SCHEMA rolecall TO {role};
GRANT ALL ON ALL SEQUENCES IN SCHEMA rolecall TO {role};
ALTER TABLE rolecall.memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE rolecall.sweep_seen ENABLE ROW LEVEL SECURITY;
ALTER TABLE rolecall.users ENABLE ROW LEVEL SECURITY;
CREATE POLICY counted ON rolecall.memberships TO {role} USING (public.count_row());
CREATE POLICY counted ON rolecall.sweep_seen TO {role} USING (public.count_row());
CREATE POLICY counted ON rolecall.users TO {role} USING (public.count_row());`

// counted returns a pool whose statements may read so many rows each, at most.
func counted(t *testing.T, b *bundle, allowed string) *pgxpool.Pool {
	t.Helper()
	role := "rolecall_test_counted_" + strings.ToLower(rand.Text()[:10])
	b.Exec(t, strings.NewReplacer("{role}", role, "{allowed}", allowed).Replace(countedRows))
	t.Cleanup(func() {
		_, err := b.Pool.Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+role+"; DROP ROLE "+role)
		require.NoError(t, err)
	})
	return mirrortest.OpenPool(t, b.URL, func(cfg *pgxpool.Config) {
		cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "SET ROLE "+role)
			return err
		}
	})
}

// TestSweep_NoStatementReadsTheWholeMirror: at millions of memberships, a statement that read them
// all took longer than a job sweeps. Each job began it anew, and no sweep ever ended.
func TestSweep_NoStatementReadsTheWholeMirror(t *testing.T) {
	t.Parallel()
	const members, page = 400, 10
	b, d := setup(t), mirrortest.Populated(members)
	b.sweep(t, d, Options{})
	sweeper, err := New(Config{
		Pool: counted(t, b, "150"), Clerk: d, Logger: b.Logs.Logger(), Settle: 50 * time.Millisecond, PageSize: page, examined: page,
	})
	require.NoError(t, err)
	run := func(opts Options) Report {
		report, err := sweeper.Run(t.Context(), opts)
		require.NoError(t, err)
		return report
	}
	require.Equal(t, counts{}, countsOf(run(Options{})))
	d.Objects[clerksync.ResourceMembership], d.Objects[clerksync.ResourceOrganization] = nil, nil
	stopped := run(Options{})
	require.Equal(t, ReasonRemovalRatio, stopped.Reason)
	require.Equal(t, []Stake{{OrganizationID: "org_1", Live: members, AtStake: members}}, stopped.Stakes)
	require.Equal(t, members+1, run(Options{Confirm: true}).Removed, "the organization, and those who end with it")
	require.NoError(t, store.ForgetListed(t.Context(), sweeper.cfg.Pool, page))
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.sweep_seen"))
}

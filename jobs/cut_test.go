package jobs

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// entry appends an entry to the log, through the trigger that chains it.
func appendEntry(t *testing.T, pool *pgxpool.Pool, organization, action, target, before, after string, at time.Time) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `INSERT INTO rolecall.audit_log (organization_id, actor, action, target, before, after, at, cause)
		VALUES ($1, 'user_boss', $2, $3, nullif($4, '')::json, nullif($5, '')::json, $6, 'msg_1')`, organization, action, target, before, after, at)
	require.NoError(t, err)
}

func verifyChain(t *testing.T, pool *pgxpool.Pool, organization string, noted clerksync.Mark) (report store.ChainReport) {
	t.Helper()
	require.NoError(t, pgx.BeginTxFunc(t.Context(), pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) (err error) {
		report, err = store.VerifyChain(t.Context(), tx, organization, noted)
		return err
	}))
	return report
}

func reviewRows(t *testing.T, pool *pgxpool.Pool, organization string, at time.Time) (rows []clerksync.Access, names []string) {
	t.Helper()
	require.NoError(t, store.AccessReview(t.Context(), pool, organization, at, func(w *clerksync.WorkspaceReview) error {
		rows, names = append(rows, w.Rows()...), append(names, w.Name)
		return nil
	}))
	return rows, names
}

// cutLog is a log of three chains: members who left, who stayed, who had several roles, who were
// invited, banned, renamed workspaces, roles with new keys, and what products recorded.
func fillLog(t *testing.T, pool *pgxpool.Pool, day func(int) time.Time) {
	t.Helper()
	role := func(membership, role string) string {
		return fmt.Sprintf(`{"membership_id":%q,"role":%q}`, membership, role)
	}
	appendEntry(t, pool, "", "role.changed", "role_1", "", `{"key":"org:editor","name":"Editor"}`, day(1))
	appendEntry(t, pool, "", "role.changed", "role_1", `{"key":"org:editor"}`, `{"key":"org:author","name":"Author"}`, day(5))
	appendEntry(t, pool, "", "user.banned", "user_unbanned", "", `{"banned":true}`, day(2))
	appendEntry(t, pool, "", "user.unbanned", "user_unbanned", "", `{"banned":false}`, day(3))
	appendEntry(t, pool, "", "user.banned", "user_banned", "", `{"banned":true}`, day(4))
	appendEntry(t, pool, "", "operator.signed_in", "ops", "", "", day(4))
	for _, org := range []string{"org_1", "org_2"} {
		appendEntry(t, pool, org, "workspace.created", org, "", `{"name":"Old"}`, day(1))
		appendEntry(t, pool, org, "workspace.renamed", org, `{"name":"Old"}`, `{"name":"New"}`, day(2))
		appendEntry(t, pool, org, "invitation.sent", "orginv_1", "", `{"email":"a@example.test","role":"org:member"}`, day(2))
		appendEntry(t, pool, org, "member.joined", "user_left", "", role("om_left", "org:member"), day(2))
		appendEntry(t, pool, org, "member.joined", "user_stays", "", role("om_stays", "org:member"), day(2))
		_, err := pool.Exec(t.Context(), `INSERT INTO rolecall.audit_log (organization_id, actor, action, target, after, at, cause)
			VALUES ($1, 'user_invited', 'invitation.accepted', 'orginv_1', '{"email":"a@example.test","inviter_id":"user_boss"}', $2, 'msg_1')`, org, day(3))
		require.NoError(t, err)
		appendEntry(t, pool, org, "member.joined", "user_invited", "", role("om_invited", "org:member"), day(3))
		appendEntry(t, pool, org, "member.joined", "user_banned", "", role("om_banned", "org:editor"), day(3))
		appendEntry(t, pool, org, "member.role_changed", "user_stays", role("om_stays", "org:member"), role("om_stays", "org:admin"), day(4))
		appendEntry(t, pool, org, "member.role_changed", "user_stays", role("om_stays", "org:admin"), role("om_stays", "org:member"), day(5))
		appendEntry(t, pool, org, "member.removed", "user_left", role("om_left", "org:member"), "", day(6))
		appendEntry(t, pool, org, "member.joined", "user_left", "", role("om_again", "org:admin"), day(7))
		for n := range 40 {
			_, _, err := store.AppendEvent(t.Context(), pool, store.Event{
				OrganizationID: org, Actor: "user_stays", Action: "report.run", Target: fmt.Sprint("report_", n), At: day(8),
				Data: json.RawMessage(`{"n":1}`), Cause: "service:reports",
			}, store.CommandKey{Digest: []byte(fmt.Sprint(org, n)), Request: []byte("r")})
			require.NoError(t, err)
		}
		appendEntry(t, pool, org, "member.role_changed", "user_left", role("om_again", "org:admin"), role("om_again", "org:member"), day(20))
	}
	appendEntry(t, pool, "org_1", "member.removed", "user_banned", role("om_banned", "org:editor"), "", day(21))
}

// TestCutLog_KeepsWhatStillHolds: a review of any instant after the cut is what it was, of earlier
// ones it is refused, and the chains verify from the cut on, also for a mark that was noted before.
func TestCutLog_KeepsWhatStillHolds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return begin.AddDate(0, 0, n) }
	fillLog(t, b.Pool, day)
	type review struct {
		rows  []clerksync.Access
		names []string
	}
	reviews := func(from int) (all []review) {
		for n := from; n < 25; n++ {
			for _, org := range []string{"", "org_1", "org_2"} {
				rows, names := reviewRows(t, b.Pool, org, day(n))
				all = append(all, review{rows, names})
			}
		}
		return all
	}
	noted := clerksync.Mark{}
	require.NoError(t, b.Pool.QueryRow(t.Context(), "SELECT seq, hash FROM rolecall.audit_heads WHERE organization_id = 'org_1'").Scan(&noted.Seq, &noted.Hash))
	size := func() int { return b.Count(t, "SELECT count(*) FROM rolecall.audit_log") }
	for _, cut := range []int{3, 6, 10, 22} {
		before := reviews(cut)
		was := size()
		require.NoError(t, CutLog(t.Context(), b.Pool, day(cut), 0))
		require.Equal(t, before, reviews(cut), "reviews after the cut of day %d", cut)
		err := store.AccessReview(t.Context(), b.Pool, "org_1", day(cut).Add(-time.Hour), func(*clerksync.WorkspaceReview) error { return nil })
		require.ErrorIs(t, err, store.ErrCut)
		if cut == 10 {
			require.Less(t, size(), was)
		}
		for _, org := range []string{"", "org_1", "org_2"} {
			require.Nil(t, verifyChain(t, b.Pool, org, clerksync.Mark{}).Broken, org)
		}
		require.Nil(t, verifyChain(t, b.Pool, "org_1", noted).Broken)
	}
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.audit_log WHERE action = 'report.run'"))
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.audit_keys"))
	require.NoError(t, CutLog(t.Context(), b.Pool, day(22), 0))
	left := size()
	require.NoError(t, CutLog(t.Context(), b.Pool, day(22), 0), "nothing is left to cut")
	require.Equal(t, left, size())
	_, repeated, err := store.AppendEvent(t.Context(), b.Pool, store.Event{
		OrganizationID: "org_1", Actor: "user_1", Action: "report.run", Target: "r", Cause: "service:reports",
	}, store.CommandKey{Digest: []byte("org_10"), Request: []byte("r")})
	require.NoError(t, err, "a key is forgotten with its entry")
	require.False(t, repeated)
}

// TestCutLog_KeepsWhatLateEntriesAreAbout: an entry about the past that is recorded after the cut
// brings no one back, nor does a workspace that comes back after it lose its members.
func TestCutLog_KeepsWhatLateEntriesAreAbout(t *testing.T) {
	t.Parallel()
	b := setup(t)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return begin.AddDate(0, 0, n) }
	member := `{"membership_id":"om_1","role":"org:member"}`
	for _, org := range []string{"org_late", "org_back"} {
		appendEntry(t, b.Pool, org, "workspace.created", org, "", `{"name":"One"}`, day(1))
		appendEntry(t, b.Pool, org, "member.joined", "user_1", "", member, day(2))
	}
	appendEntry(t, b.Pool, "org_late", "member.removed", "user_1", member, "", day(6))
	appendEntry(t, b.Pool, "org_late", "report.run", "x", "", "", day(9))
	appendEntry(t, b.Pool, "org_late", "member.restated", "user_1", "", member, day(4))
	appendEntry(t, b.Pool, "org_back", "workspace.deleted", "org_back", `{"name":"One"}`, "", day(6))
	appendEntry(t, b.Pool, "org_back", "workspace.created", "org_back", "", `{"name":"One"}`, day(9))
	for _, org := range []string{"org_late", "org_back"} {
		appendEntry(t, b.Pool, org, "report.run", "y", "", "", day(30))
	}
	for _, cut := range []int{8, 20} {
		require.NoError(t, CutLog(t.Context(), b.Pool, day(cut), 0))
		rows, _ := reviewRows(t, b.Pool, "org_late", day(31))
		require.Empty(t, rows, "after the cut of day %d", cut)
		rows, _ = reviewRows(t, b.Pool, "org_back", day(31))
		require.Len(t, rows, 1, "after the cut of day %d", cut)
	}
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.audit_log WHERE organization_id = 'org_late' AND action LIKE 'member.%'"))
}

// TestCutLog_TakesLongChainsInParts: no transaction deletes more than store.MostCut entries of a
// chain, also where all that earlier cuts kept goes at once.
func TestCutLog_TakesLongChainsInParts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const members = 2*store.MostCut + 10
	_, err := b.Pool.Exec(t.Context(), `INSERT INTO rolecall.audit_log (organization_id, action, target, after, at, cause)
		SELECT 'org_1', 'member.joined', 'user_' || n, json_build_object('membership_id', 'om_' || n, 'role', 'org:member'), $1, 'msg_1'
		FROM generate_series(1, $2) n`, begin, members)
	require.NoError(t, err)
	appendEntry(t, b.Pool, "org_1", "workspace.deleted", "org_1", `{"name":"Old"}`, "", begin.AddDate(0, 0, 10))
	appendEntry(t, b.Pool, "org_1", "report.run", "x", "", "", begin.AddDate(0, 0, 11))
	appendEntry(t, b.Pool, "org_1", "report.run", "y", "", "", begin.AddDate(0, 0, 30))
	require.NoError(t, CutLog(t.Context(), b.Pool, begin.AddDate(0, 0, 5), 0))
	require.Equal(t, members+3, b.Count(t, "SELECT count(*) FROM rolecall.audit_log WHERE organization_id = 'org_1'"), "all still hold")
	require.NoError(t, CutLog(t.Context(), b.Pool, begin.AddDate(0, 0, 20), 0))
	require.Equal(t, 2, b.Count(t, "SELECT count(*) FROM rolecall.audit_log WHERE organization_id = 'org_1'"))
	require.Nil(t, verifyChain(t, b.Pool, "org_1", clerksync.Mark{}).Broken)
	gone := `SELECT (cut ->> 'gone')::bigint AS gone FROM rolecall.audit_log l, json_array_elements(l.data -> 'cuts') cut WHERE l.action = 'operator.log_cut'`
	require.Equal(t, store.MostCut, b.Count(t, "SELECT max(gone) FROM ("+gone+") g"))
	require.Equal(t, members+1, b.Count(t, "SELECT sum(gone) FROM ("+gone+") g"))
}

// TestCutLog_CutsAUserAtOnce: of a user, no part of a cut leaves entries about the past without the
// removal that came after them.
func TestCutLog_CutsAUserAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return begin.AddDate(0, 0, n) }
	const members, left = store.MostCut + 10, store.MostCut/2 - 1
	_, err := b.Pool.Exec(t.Context(), `INSERT INTO rolecall.audit_log (organization_id, action, target, before, after, at, cause)
		SELECT 'org_1', action, 'user_' || n, before, after, $1::timestamptz + later, 'msg_1'
		FROM generate_series(1, $2) n,
			LATERAL (SELECT json_build_object('membership_id', 'om_' || n, 'role', 'org:member') AS is) m,
			LATERAL (VALUES (0, 'member.joined', NULL, m.is, interval '1 day'), (1, 'member.removed', m.is, NULL, interval '5 days'))
				AS e (place, action, before, after, later)
		WHERE place = 0 OR n <= $3
		ORDER BY place, n`, begin, members, left)
	require.NoError(t, err)
	member, admin := `{"membership_id":"om_x","role":"org:member"}`, `{"membership_id":"om_x","role":"org:admin"}`
	appendEntry(t, b.Pool, "org_1", "member.joined", "user_x", "", admin, day(4))
	appendEntry(t, b.Pool, "org_1", "member.removed", "user_x", admin, "", day(7)) // with it, as many go as one transaction deletes
	appendEntry(t, b.Pool, "org_1", "member.restated", "user_x", "", member, day(4))
	appendEntry(t, b.Pool, "org_1", "member.restated", "user_x", member, admin, day(5))
	appendEntry(t, b.Pool, "org_1", "report.run", "x", "", "", day(30))
	for _, cut := range []int{3, 20} {
		require.NoError(t, CutLog(t.Context(), b.Pool, day(cut), 0))
		rows, _ := reviewRows(t, b.Pool, "org_1", day(31))
		require.Len(t, rows, members-left)
	}
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.audit_log WHERE target = 'user_x'"))
	require.Equal(t, members-left+1, b.Count(t, "SELECT count(*) FROM rolecall.audit_log WHERE organization_id = 'org_1'"))
}

// TestCutLog_ForgeriesAreFound, by a superuser who goes around every trigger.
func TestCutLog_ForgeriesAreFound(t *testing.T) {
	t.Parallel()
	type want struct {
		what clerksync.Tampering
		seq  int64
	}
	const forgedVoucher = `UPDATE rolecall.audit_log SET data = replace(data::text, '"kept":', '"kept":9')::json WHERE action = 'operator.log_cut';
		UPDATE rolecall.audit_cuts SET kept = ('9' || kept)::bigint`
	for name, test := range map[string]struct {
		sql, chain string
		want       want
	}{
		"kept entry changed": {
			"UPDATE rolecall.audit_log SET actor = 'user_x' WHERE organization_id = 'org_1' AND seq = 5", "org_1", want{clerksync.TamperedChanged, 5},
		},
		"kept entry gone": {"DELETE FROM rolecall.audit_log WHERE organization_id = 'org_1' AND seq = 5", "org_1", want{clerksync.TamperedMissing, 52}},
		"kept entry rehashed": {
			`UPDATE rolecall.audit_log SET actor = 'user_x', hash = rolecall.audit_hash(seq, prev_hash, rolecall.audit_content(organization_id, 'user_x', action,
				target, before::text, after::text, data::text, at, cause), impersonator) WHERE organization_id = 'org_1' AND seq = 5`,
			"org_1",
			want{clerksync.TamperedChanged, 52},
		},
		"entry put back": {
			`INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause, seq, prev_hash, hash)
				SELECT organization_id, 'a.b', 'c', at, cause, 4, '', rolecall.audit_hash(4, '', rolecall.audit_content(organization_id, NULL, 'a.b', 'c',
				NULL, NULL, NULL, at, cause), NULL) FROM rolecall.audit_log WHERE organization_id = 'org_1' AND seq = 5`,
			"org_1",
			want{clerksync.TamperedInserted, 52},
		},
		"cut moved on": {
			`UPDATE rolecall.audit_cuts SET seq = 53, hash = (SELECT hash FROM rolecall.audit_log WHERE organization_id = 'org_1' AND seq = 53) WHERE organization_id = 'org_1';
			DELETE FROM rolecall.audit_log WHERE organization_id = 'org_1' AND seq = 53`,
			"org_1",
			want{clerksync.TamperedMissing, 1},
		},
		"cut forgotten":   {"DELETE FROM rolecall.audit_cuts", "org_1", want{clerksync.TamperedMissing, 1}},
		"voucher changed": {forgedVoucher, "org_1", want{clerksync.TamperedMissing, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			day := func(n int) time.Time { return begin.AddDate(0, 0, n) }
			fillLog(t, b.Pool, day)
			require.NoError(t, CutLog(t.Context(), b.Pool, day(10), 0))
			require.NoError(t, pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), "SET LOCAL session_replication_role = replica; "+test.sql)
				return err
			}))
			broken := verifyChain(t, b.Pool, test.chain, clerksync.Mark{}).Broken
			require.NotNil(t, broken)
			require.Equal(t, test.want, want{broken.Tampering, broken.Seq}, broken.Detail)
		})
	}
}

// TestCutLog_IsTheOnlyWayOut: not even its owner deletes an entry by accident, kept ones included.
func TestCutLog_IsTheOnlyWayOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fillLog(t, b.Pool, func(n int) time.Time { return begin.AddDate(0, 0, n) })
	require.NoError(t, CutLog(t.Context(), b.Pool, begin.AddDate(0, 0, 10), 0))
	voucher := `INSERT INTO rolecall.audit_log (organization_id, action, target, data, at, cause) VALUES ('', 'operator.log_cut', 'x', '{"cuts":[]}', now(), 'x');`
	for _, sql := range []string{
		"DELETE FROM rolecall.audit_log WHERE seq < 5", "DELETE FROM rolecall.audit_log", "TRUNCATE rolecall.audit_log",
		"UPDATE rolecall.audit_log SET erased_by = 1", voucher + "DELETE FROM rolecall.audit_log WHERE organization_id = 'org_1' AND seq = 5",
		voucher + "UPDATE rolecall.audit_cuts SET seq = seq + 1", "DELETE FROM rolecall.audit_cuts",
		`INSERT INTO rolecall.audit_log (organization_id, action, target, data, at, cause) VALUES ('', 'operator.erased', 'x', '{"entries":[]}', now(), 'x');
			UPDATE rolecall.audit_log SET data = NULL, erased_by = (SELECT seq FROM rolecall.audit_heads WHERE organization_id = '') WHERE organization_id = 'org_1'`,
	} {
		_, err := b.Pool.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "audit log is", sql)
	}
	require.Nil(t, verifyChain(t, b.Pool, "org_1", clerksync.Mark{}).Broken)
}

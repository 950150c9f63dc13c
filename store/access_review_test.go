package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// fillLog puts entries of some memberships into the log: each member joined, and had another role
// later. A workspace has 50 members, whose product recorded as many events of its own. The chain
// isn't computed, because no review reads it.
func fillLog(t testing.TB, b *mirrortest.DB, members int) {
	t.Helper()
	b.Exec(t, "ALTER TABLE rolecall.audit_log DISABLE TRIGGER USER")
	b.Exec(t, `INSERT INTO rolecall.audit_log (organization_id, action, target, before, after, at, cause, seq, prev_hash, hash)
		SELECT 'org_' || n / 50, e.action, 'user_' || n, e.before, e.after, '2026-01-01'::timestamptz + n * interval '1 ms' + e.later, 'msg_' || n,
			3 * (n % 50) + e.seq, '', ''
		FROM generate_series(0, $1::integer - 1) n
		CROSS JOIN LATERAL (VALUES
			('member.joined', NULL::json, json_build_object('membership_id', 'orgmem_' || n, 'role', 'org:member'), interval '0', 1),
			('member.role_changed', json_build_object('membership_id', 'orgmem_' || n, 'role', 'org:member'),
				json_build_object('membership_id', 'orgmem_' || n, 'role', 'org:admin'), interval '30 days', 2),
			('report.run', NULL, NULL, interval '10 days', 3)
		) AS e (action, before, after, later, seq)`, members)
	b.Exec(t, "ANALYZE rolecall.audit_log")
}

// TestAccessReview_GoesThroughAllWorkspaces of a log that is longer than a batch.
func TestAccessReview_GoesThroughAllWorkspaces(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t)
	fillLog(t, b, 3000)
	for at, role := range map[string]string{"2026-01-15": "org:member", "2026-03-01": "org:admin"} {
		instant, err := time.Parse(time.DateOnly, at)
		require.NoError(t, err)
		workspaces, members := map[string]bool{}, 0
		require.NoError(t, store.AccessReview(t.Context(), b.Pool, "", instant, func(w *clerksync.WorkspaceReview) error {
			require.False(t, workspaces[w.OrganizationID])
			workspaces[w.OrganizationID] = true
			for _, row := range w.Rows() {
				members++
				require.Equal(t, role, row.Role)
			}
			return nil
		}))
		require.Len(t, workspaces, 60)
		require.Equal(t, 3000, members)
	}
}

// TestAccessReview_OfOneWorkspaceReadsNothingAboutOthers: the instance's chain has entries about
// all users. One that can't be read stops the review of everything, and not that of other
// workspaces.
func TestAccessReview_OfOneWorkspaceReadsNothingAboutOthers(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t)
	fillLog(t, b, 2*1500)
	b.Exec(t, `UPDATE rolecall.audit_log SET organization_id = 'org_large', seq = id WHERE target IN (SELECT 'user_' || n FROM generate_series(0, 1499) n)`)
	b.Exec(t, `INSERT INTO rolecall.audit_log (organization_id, action, target, after, at, cause, seq, prev_hash, hash)
		SELECT '', 'user.banned', 'user_' || n, CASE WHEN n < 1500 THEN '{"banned": true}'::json ELSE '{"banned": "?"}' END,
			'2026-02-01'::timestamptz + twice * interval '1 s', 'msg_x', 2 * n + twice, '', ''
		FROM generate_series(0, 2999) n, generate_series(0, 1) twice WHERE n <> 3`)
	refused := 0
	review := func(organizationID string) error {
		return store.AccessReview(t.Context(), b.Pool, organizationID, time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC), func(w *clerksync.WorkspaceReview) error {
			for _, row := range w.Rows() {
				if row.User.Banned {
					refused++
				} else {
					require.Equal(t, "user_3", row.UserID)
				}
			}
			return nil
		})
	}
	require.NoError(t, review("org_large"))
	require.Equal(t, 1499, refused, "more than one slice of users, and more entries than a batch")
	require.ErrorContains(t, review(""), "details that Rolecall never records")
	for most, ok := range map[int]bool{2999: false, 3000: true} {
		reviewable, err := store.ReviewableAtOnce(t.Context(), b.Pool, "org_large", time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), most)
		require.NoError(t, err)
		require.Equal(t, ok, reviewable)
	}
}

// BenchmarkAccessReview reviews all workspaces of a log of a million entries about members, among
// half as many of a product, and then one workspace.
func BenchmarkAccessReview(b *testing.B) {
	db := mirrortest.New(b)
	fillLog(b, db, 500_000)
	none := func(*clerksync.WorkspaceReview) error { return nil }
	for name, organization := range map[string]string{"all": "", "one": "org_77"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, store.AccessReview(b.Context(), db.Pool, organization, time.Now(), none))
			}
		})
	}
}

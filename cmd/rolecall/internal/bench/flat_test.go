package bench_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/internal/pgtest"
)

// withFlat is the environment variable that asks for the part flat. Filling its databases takes ten
// minutes and 15 GB.
const withFlat = "ROLECALL_BENCH_FLAT"

// size is how much an instance has. The large one is the largest that Rolecall promises to serve as
// fast as the small one.
type size struct{ memberships, ledger, audit int }

func sizes() (small, large size) {
	return size{memberships: 20_000, ledger: 20_000, audit: 20_000}, size{memberships: 5_000_000, ledger: 10_000_000, audit: 10_000_000}
}

// perWorkspace is how many members a workspace has in both. So both answer the same.
const perWorkspace = 1_000

// flat compares two programs, one on a small and one on a large instance. The small one is the
// floor. If the work doesn't grow with the instance, the ratio is 1.
func (s *suite) flat(b *testing.B) {
	small, large := sizes()
	c := startClerk(b)
	// A user's role at Clerk is one, so each program has a team of its own.
	ofSmall, ofLarge := newTeam(b, c), newTeam(b, c)
	urls := [2]string{pgtest.DurableURL(b), pgtest.DurableURL(b)}
	fillSize(b, connect(b, urls[0]), small)
	fillSize(b, connect(b, urls[1]), large)
	both := [2]*told{s.tell(b, c, ofSmall, urls[0]), s.tell(b, c, ofLarge, urls[1])}
	token := c.token(b, userAt(1))
	for _, row := range []struct{ name, work, path string }{
		{"authorize", "authorize", "/v1/authorize?permission=members:read&workspace_id=org_1"},
		{"members", "a page of members", "/v1/workspaces/org_1/members"},
		{"me", "GET /v1/me", "/v1/me"},
	} {
		b.Run(row.name, func(b *testing.B) {
			s.compareSizes(b, row.work, "requests", func(i int) func(int) error {
				return asking(b, newAskers(b, both[i].program.addr, 1, func(ctx context.Context, _ int) (*http.Request, error) {
					return withToken(ctx, row.path, token)
				}))
			})
		})
	}
	b.Run("enforced", func(b *testing.B) {
		s.compareSizes(b, "accepted → enforced", "changes", func(i int) func(int) error {
			return func(int) error { both[i].change(b); return nil }
		})
	})
	messages := newJoins(b, c)
	b.Run("accepted", func(b *testing.B) {
		s.compareSizes(b, "webhook → 200", "deliveries", func(i int) func(int) error {
			return func(int) error { return both[i].sender.send(b.Context(), messages.next()) }
		})
	})
}

// compareSizes measures one caller's work on the small and on the large instance in turn. do
// returns the work of the program with a number.
func (s *suite) compareSizes(b *testing.B, work, unit string, do func(program int) func(caller int) error) {
	b.Helper()
	rate := func(program int) func() float64 {
		work := do(program)
		closedLoop(b, 1, warmUp, work)
		return func() float64 { return perSecond(b, 1, readTime, work) }
	}
	s.table.compare(b, work+": 5 million memberships beside 20,000", unit, rate(0), rate(1))
}

// fillSize fills mirror, ledger and audit log. The hashes of the entries prove nothing.
func fillSize(b *testing.B, conn *pgx.Conn, n size) {
	b.Helper()
	workspaces := n.memberships / perWorkspace
	withoutTriggers(b, conn, "memberships", fmt.Sprintf(`
		INSERT INTO rolecall.organizations (id, name) SELECT 'org_' || i, 'Organization' FROM generate_series(0, %[2]d - 1) i;
		INSERT INTO rolecall.users (id) SELECT 'user_' || i FROM generate_series(0, %[1]d - 1) i;
		INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at)
			SELECT 'orgmem_' || i, 'org_' || i %% %[2]d, 'user_' || i, 'org:admin', now() + i * interval '1 ms' FROM generate_series(0, %[1]d - 1) i;
		INSERT INTO rolecall.member_counts SELECT 'org_' || i, %[3]d FROM generate_series(0, %[2]d - 1) i;
		INSERT INTO rolecall.revisions SELECT 'org_' || i, 1, now() FROM generate_series(0, %[2]d - 1) i`, n.memberships, workspaces, perWorkspace))
	withoutTriggers(b, conn, "audit_log", fmt.Sprintf(`
		INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause, seq, prev_hash, hash)
			SELECT 'org_' || i %% %[2]d, 'member.joined', 'user_' || i, now() - (%[1]d - i) * interval '1 ms', 'msg_' || i, 1 + i / %[2]d, '\x', sha256(int8send(i))
			FROM generate_series(0, %[1]d::bigint - 1) i;
		INSERT INTO rolecall.audit_heads SELECT DISTINCT ON (organization_id) organization_id, seq, prev_hash, hash FROM rolecall.audit_log ORDER BY organization_id, seq DESC`,
		n.audit, workspaces))
	withoutTriggers(b, conn, "deliveries", fmt.Sprintf(`
		INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body_sha256, state, applied_at)
			SELECT 'msg_' || i, 'organizationMembership.created', 'orgmem_' || i, 'org_' || i %% %[2]d, '', at, at, sha256(int8send(i)), 'applied', at
			FROM generate_series(0, %[1]d::bigint - 1) i, LATERAL (SELECT now() - (%[1]d - i) * interval '1 ms') AS t (at)`, n.ledger, workspaces))
}

package support_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
)

func TestReadUser_SinceWhenAndWhy(t *testing.T) {
	t.Parallel()
	pool := directory(t)
	for _, sql := range []string{
		`UPDATE rolecall.users SET banned = true WHERE id = 'user_jane'`,
		`UPDATE rolecall.users SET deprovisioned = true WHERE id = 'user_john'`,
		`UPDATE rolecall.users SET deleted_cause = 'msg_gone', deleted_at = '2026-05-05' WHERE id = 'user_gone'`,
		`INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ('', 'user.banned', 'user_jane', '2026-01-01', 'msg_old'),
			('', 'user.unbanned', 'user_jane', '2026-01-02', 'msg_free'), ('', 'user.banned', 'user_jane', '2026-01-03', 'msg_ban')`,
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at, deleted_at) SELECT 'orgmem_' || n, 'org_n' || n, 'user_jane', 'org:member',
			'2026-01-01', CASE WHEN n > 3 THEN now() END FROM generate_series(1, 6) n`,
	} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	read := func(id string, after store.Position, l support.Limits) support.User {
		found, err := support.FindUser(t.Context(), pool, id)
		require.NoError(t, err)
		u, err := support.ReadUser(t.Context(), pool, found, after, l)
		require.NoError(t, err)
		return u
	}
	jane := read("user_jane", store.Position{}, support.Limits{Memberships: 2, Former: 2, Entries: 2})
	require.Equal(t, "msg_ban", jane.Refusal.Cause)
	require.Equal(t, "2026-01-03", jane.Refusal.Since.UTC().Format("2006-01-02"))
	require.Len(t, jane.Present, 2)
	require.Len(t, jane.Former, 2)
	require.True(t, jane.MoreFormer)
	require.Len(t, jane.Entries, 2)
	rest := read("user_jane", *jane.Next, support.Limits{Memberships: 2, Former: 3, Entries: 2})
	require.Len(t, rest.Present, 1)
	require.Nil(t, rest.Next)
	require.False(t, rest.MoreFormer)
	john := read("user_john", store.Position{}, support.Limits{})
	require.Equal(t, support.Refusal{Status: "deprovisioned"}, *john.Refusal, "since before the log")
	require.Equal(t, "msg_gone", read("user_gone", store.Position{}, support.Limits{}).Refusal.Cause)
	require.Nil(t, read("user_maria", store.Position{}, support.Limits{}).Refusal)
}

func TestReadWorkspace(t *testing.T) {
	t.Parallel()
	pool := directory(t)
	for _, sql := range []string{
		`INSERT INTO rolecall.grants VALUES ('org:admin', 'members:manage')`,
		`UPDATE rolecall.users SET banned = true WHERE id = 'user_john'`,
		`UPDATE rolecall.organizations SET created_by = 'user_jane', created_at = '2026-01-01' WHERE id = 'org_1'`,
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, role, permissions, created_at) VALUES
			('orgmem_1', 'org_1', 'user_jane', 'org:admin', '{}', '2026-01-01'), ('orgmem_2', 'org_1', 'user_john', 'org:admin', '{}', '2026-01-02'),
			('orgmem_3', 'org_1', 'user_maria', 'org:hr', '{members:manage}', '2026-01-03'), ('orgmem_4', 'org_1', 'user_nick', 'org:member', '{}', '2026-01-04')`,
		`INSERT INTO rolecall.revisions (organization_id, revision) VALUES ('org_1', 7), ('', 2) ON CONFLICT (organization_id) DO UPDATE SET revision = excluded.revision`,
		`INSERT INTO rolecall.domains (id, organization_id, name) VALUES ('orgdmn_1', 'org_1', 'acme.example')`,
		`INSERT INTO rolecall.invitations (id, organization_id, email, status, created_at) SELECT 'orginv_' || n, 'org_1', n || '@example.com', 'pending', '2026-01-01' FROM generate_series(1, 3) n`,
	} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	found, err := support.FindWorkspace(t.Context(), pool, "acme")
	require.NoError(t, err)
	require.Equal(t, store.Tally{N: 2}, found.Managers)
	w, err := support.ReadWorkspace(t.Context(), pool, found, 5)
	require.NoError(t, err)
	require.Equal(t, "Jane Doe", support.Name(*w.Creator))
	require.Equal(t, int64(9), w.Revision)
	require.Equal(t, "2026-01-01", w.AsOf.UTC().Format("2006-01-02"), "no sweep yet: since its creation")
	require.Equal(t, "acme.example", w.Domains[0].Name)

	m, err := support.ReadMembers(t.Context(), pool, found, store.Position{}, 3)
	require.NoError(t, err)
	require.NotNil(t, m.Next)
	var marks []any
	for _, one := range m.Page {
		marks = append(marks, one.Status, one.Manages)
	}
	require.Equal(t, []any{"", true, "banned", false, "", true}, marks)
	m, err = support.ReadMembers(t.Context(), pool, found, *m.Next, 3)
	require.NoError(t, err)
	require.Len(t, m.Page, 1)
	require.False(t, m.Page[0].Manages)
	require.Nil(t, m.Next)
	grants, err := store.Grants(t.Context(), pool)
	require.NoError(t, err)
	for may, want := range map[string][]string{
		"members:manage": {"user_jane", "user_maria"}, "reports:read": nil,
	} {
		for limit := 1; limit < 4; limit++ {
			var got []string
			for after := new(store.Position{}); after != nil; after = m.Next {
				m, err = support.SearchMembers(t.Context(), pool, found, support.MemberSearch{Grants: grants, May: may}, *after, limit)
				require.NoError(t, err)
				require.LessOrEqual(t, len(m.Page), limit)
				for _, one := range m.Page {
					got = append(got, one.ID)
				}
			}
			require.Equal(t, want, got, "%s by %d", may, limit)
		}
	}
	gone := found
	gone.DeletedAt = new(time.Now())
	m, err = support.ReadMembers(t.Context(), pool, gone, store.Position{}, 3)
	require.NoError(t, err)
	require.False(t, m.Page[0].Manages, "nobody manages a deleted workspace")

	i, err := support.ReadInvitations(t.Context(), pool, "org_1", store.Position{}, 2)
	require.NoError(t, err)
	require.Len(t, i.Page, 2)
	i, err = support.ReadInvitations(t.Context(), pool, "org_1", *i.Next, 2)
	require.NoError(t, err)
	require.Len(t, i.Page, 1)
	require.Nil(t, i.Next)
}

package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// run changes the database as an operator might.
func run(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	_, err := pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func ids(matches []store.Match) (ids []string) {
	for _, m := range matches {
		ids = append(ids, fmt.Sprintf("%s %d", m.ID, m.Nearness))
	}
	return ids
}

func TestMatchUsers(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	long := strings.Repeat("x", 5000)
	run(t, pool, `INSERT INTO rolecall.users (id, identifier, first_name, last_name, deleted_at) VALUES
		('user_1', 'Jane@example.com', 'Jane', 'Doe', NULL), ('user_2', 'jane@example.com.au', 'Janet', NULL, NULL),
		('user_3', 'gone@example.com', 'Ümit', 'Doe', now()), ('user_4', NULL, NULL, 'Jane', NULL), ('user_5', $1, $1, $1, NULL)`, long)
	run(t, pool, `INSERT INTO rolecall.memberships (id, organization_id, user_id) VALUES ('orgmem_1', 'org_1', 'user_stub')`)
	for text, want := range map[string][]string{
		"user_1": {"user_1 1"}, "user_stub": {"user_stub 1"}, "user_": nil, "USER_1": nil,
		"JANE@example.com": {"user_1 2", "user_2 4"}, "jane@": {"user_1 4", "user_2 4"}, "gone@EXAMPLE.com": {"user_3 2"},
		"jane doe": {"user_1 3"}, "jane": {"user_4 3", "user_1 4", "user_2 4"}, "DOE": {"user_1 4"}, "ümit d": {"user_3 4"},
		"%": nil, "ja_e": nil, "ane": nil, "": {"user_4 2", "user_1 4", "user_2 4", "user_3 4", "user_5 4"},
		long: {"user_5 2"}, long[:100]: {"user_5 4"}, long + "y": nil,
	} {
		matches, err := store.MatchUsers(t.Context(), pool, text, 10)
		require.NoError(t, err)
		require.Equal(t, want, ids(matches), "%.20s", text)
	}
	matches, err := store.MatchUsers(t.Context(), pool, "jane@", 1)
	require.NoError(t, err)
	require.Len(t, matches, 1)
}

// TestMatch_DeletedOnesHideNoLivingOne, however many there are.
func TestMatch_DeletedOnesHideNoLivingOne(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	run(t, pool, `INSERT INTO rolecall.users (id, identifier, first_name, deleted_at)
		SELECT 'user_' || n, 'qa@example.com', 'Qa', CASE WHEN n < 99 THEN now() END FROM generate_series(10, 99) n`)
	run(t, pool, `INSERT INTO rolecall.organizations (id, name, slug, deleted_at)
		SELECT 'org_' || n, 'Qa', 'qa-slug', CASE WHEN n < 99 THEN now() END FROM generate_series(10, 99) n`)
	for _, text := range []string{"qa@example.com", "qa@", "qa"} {
		matches, err := store.MatchUsers(t.Context(), pool, text, 3)
		require.NoError(t, err)
		require.Len(t, matches, 4)
		require.Equal(t, "user_99", matches[3].ID)
	}
	for _, text := range []string{"qa-slug", "QA", "q"} {
		matches, err := store.MatchWorkspaces(t.Context(), pool, text, 3)
		require.NoError(t, err)
		require.Len(t, matches, 4)
		require.Equal(t, "org_99", matches[3].ID)
	}
}

func TestMatchWorkspaces(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	run(t, pool, `INSERT INTO rolecall.organizations (id, name, slug, deleted_at) VALUES
		('org_1', 'Acme', 'acme', NULL), ('org_2', 'Acme Labs', 'labs', NULL), ('org_3', 'Other', 'acme-labs', NULL),
		('org_4', 'ACME', 'acme-gone', now()), ('org_5', 'acme_x', NULL, NULL)`)
	run(t, pool, `INSERT INTO rolecall.memberships (id, organization_id, user_id) VALUES ('orgmem_1', 'org_stub', 'user_1')`)
	for text, want := range map[string][]string{
		"org_1": {"org_1 1"}, "org_stub": {"org_stub 1"}, "org_none": nil,
		"ACME": {"org_1 2", "org_4 2", "org_2 4", "org_5 4"}, "acme labs": {"org_2 2"}, "acme-labs": {"org_3 2"}, "acme-gone": {"org_4 2"},
		"acme%": nil, "acme_": {"org_5 4"}, "labs": {"org_2 2"},
	} {
		matches, err := store.MatchWorkspaces(t.Context(), pool, text, 10)
		require.NoError(t, err)
		require.Equal(t, want, ids(matches), text)
	}
}

// TestListWorkspaces_Paged by name, with ties, and with names that differ only behind the 64
// characters of the index.
func TestListWorkspaces_Paged(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	long := strings.Repeat("n", 64)
	run(t, pool, `INSERT INTO rolecall.organizations (id, name, deleted_at) VALUES ('org_1', 'beta', NULL), ('org_2', 'Alpha', NULL),
		('org_3', 'alpha', NULL), ('org_4', '', NULL), ('org_5', 'Älpha', NULL), ('org_6', $1 || 'b', NULL), ('org_7', $1 || 'a', NULL),
		('org_8', 'ALPHA', now())`, long)
	all := func(text string, deleted bool, limit int) (got []string) {
		var after store.NamePosition
		for {
			page, err := store.ListWorkspaces(t.Context(), pool, text, deleted, after, limit)
			require.NoError(t, err)
			for _, l := range page {
				got = append(got, l.ID)
				after = l.Position
			}
			if len(page) < limit {
				return got
			}
			require.LessOrEqual(t, len(got), 10, "a workspace came twice")
		}
	}
	for limit := 1; limit < 9; limit++ {
		require.Equal(t, []string{"org_4", "org_2", "org_3", "org_1", "org_6", "org_7", "org_5"}, all("", false, limit))
		require.Equal(t, []string{"org_2", "org_3"}, all("AL", false, limit))
		require.Equal(t, []string{"org_6", "org_7"}, all(long+"A", false, limit), "as far as the index goes")
		require.Equal(t, []string{"org_8"}, all("a", true, limit))
	}
}

// TestDirectory_ReadsIndexesInOrder: the queries compare texts as the indexes have them, also by
// plans that are made for any text. Sorting all that match would take seconds in a large mirror.
func TestDirectory_ReadsIndexesInOrder(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		for _, setting := range []string{"enable_seqscan = off", "enable_sort = off", "enable_bitmapscan = off", "plan_cache_mode = force_generic_plan"} {
			_, err := tx.Exec(t.Context(), "SET LOCAL "+setting) // the tables are too small for indexes
			require.NoError(t, err)
		}
		for query, want := range map[string]struct {
			params  string
			indexes []string
			sorts   int // of the few rows that were found
		}{
			dbsqlc.WorkspaceIDsByName:        {"'a', '', '', 10", []string{"organizations_by_name"}, 0},
			dbsqlc.DeletedWorkspaceIDsByName: {"'a', '', '', 10", []string{"organizations_deleted_by_name"}, 0},
			dbsqlc.UserIDsByIdentifier:       {"'', '', 10", []string{"users_by_identifier"}, 0},
			dbsqlc.EntriesAbout:              {"'user_1', 50, '0001-01-01', '9999-12-31', 'now', 1, '', '', 20", []string{"audit_log_target", "memberships_user_pair"}, 2},
			dbsqlc.FindWorkspaceIDs: {"'a', 10", []string{
				"organizations_by_name", "organizations_deleted_by_name",
			}, 1},
			dbsqlc.FindUserIDs: {"'a', 10", []string{
				"users_by_identifier", "users_by_name", "users_by_last_name", "users_deleted_by_identifier", "users_deleted_by_name",
			}, 1},
		} {
			_, err := tx.Exec(t.Context(), "PREPARE asked AS "+query, pgx.QueryExecModeSimpleProtocol)
			require.NoError(t, err)
			plan := strings.Join(listed(t, tx, "EXPLAIN (COSTS OFF) EXECUTE asked("+want.params+")"), "\n")
			for _, index := range want.indexes {
				require.Contains(t, plan, "using "+index+" ", plan)
			}
			require.Equal(t, want.sorts, strings.Count(plan, "Sort Key"), plan)
			_, err = tx.Exec(t.Context(), "DEALLOCATE asked")
			require.NoError(t, err)
		}
		return nil
	}))
}

// TestDirectoryWorkspaces_Managers are those who may act and whose present role gives the
// permission: by the policy or by Clerk.
func TestDirectoryWorkspaces_Managers(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	run(t, pool, `INSERT INTO rolecall.grants VALUES ('org:boss', 'members:manage'), ('org:boss', 'x'), ('org:member', 'x')`)
	run(t, pool, `INSERT INTO rolecall.permissions (id, key) VALUES ('perm_1', 'members:manage')`)
	run(t, pool, `INSERT INTO rolecall.roles (id, key, keys, permission_ids, deleted_at) VALUES
		('role_1', 'org:boss', '{"org:admin": [1], "org:boss": [2]}', '{}', NULL), ('role_2', 'org:hr', '{"org:hr": [1]}', '{perm_1}', NULL),
		('role_3', 'org:old', '{"org:old": [1]}', '{perm_1}', now())`)
	run(t, pool, `INSERT INTO rolecall.users (id, banned) VALUES ('user_banned', true)`)
	run(t, pool, `INSERT INTO rolecall.organizations (id, name, deleted_at) VALUES ('org_1', 'North', NULL), ('org_gone', 'Gone', now())`)
	run(t, pool, `INSERT INTO rolecall.memberships (id, organization_id, user_id, role, permissions, deleted_at, version) VALUES
		('orgmem_1', 'org_1', 'user_1', 'org:admin', '{}', NULL, '{"k":1,"u":5,"o":5}'), ('orgmem_2', 'org_1', 'user_2', 'org:hr', '{}', NULL, '{"k":1,"u":5,"o":5}'),
		('orgmem_3', 'org_1', 'user_3', 'org:old', '{members:manage}', NULL, '{"k":1,"u":5,"o":5}'), ('orgmem_4', 'org_1', 'user_4', 'org:unknown', '{members:manage}', NULL, '{"k":1,"u":5,"o":5}'),
		('orgmem_5', 'org_1', 'user_5', 'org:member', '{}', NULL, '{"k":1,"u":5,"o":5}'), ('orgmem_6', 'org_1', 'user_banned', 'org:boss', '{}', NULL, '{"k":1,"u":5,"o":5}'),
		('orgmem_7', 'org_1', 'user_7', 'org:boss', '{}', now(), '{"k":1,"u":5,"o":5}'), ('orgmem_8', 'org_gone', 'user_1', 'org:boss', '{}', NULL, '{"k":1,"u":5,"o":5}')`)
	managers := func(looked, most int) store.Tally {
		w, err := store.DirectoryWorkspaces(t.Context(), pool, []string{"org_gone", "org_1", "org_none"}, store.HolderSearch{Permission: "members:manage", Looked: looked, Most: most})
		require.NoError(t, err)
		require.Len(t, w, 3)
		require.Equal(t, "Gone", w[0].Name)
		require.NotNil(t, w[0].DeletedAt)
		require.Zero(t, w[0].Managers)
		require.Zero(t, w[0].Members, "nobody may act in a deleted one")
		require.Equal(t, store.DirectoryWorkspace{ID: "org_none"}, w[2])
		require.Equal(t, int64(5), w[1].Members)
		return w[1].Managers
	}
	require.Equal(t, store.Tally{N: 3}, managers(100, 100))
	require.Equal(t, store.Tally{N: 2, AtLeast: true}, managers(100, 2))
	require.Equal(t, store.Tally{N: 1, AtLeast: true}, managers(1, 100))
}

// TestDirectoryWorkspaces_ChangedAt is when the newest entry happened that isn't a product's own.
func TestDirectoryWorkspaces_ChangedAt(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	run(t, pool, `INSERT INTO rolecall.organizations (id, name) VALUES ('org_1', 'North'), ('org_2', 'South')`)
	run(t, pool, `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ('org_1', 'member.joined', 'user_1', $1::timestamptz, 'msg_1'),
		('org_1', 'report.shared', 'x', $1::timestamptz + interval '1 minute', 'service:web')`, at)
	w, err := store.DirectoryWorkspaces(t.Context(), pool, []string{"org_1", "org_2"}, store.HolderSearch{})
	require.NoError(t, err)
	require.WithinDuration(t, at, *w[0].ChangedAt, 0)
	require.WithinDuration(t, time.Now(), *w[1].ChangedAt, time.Minute, "when its row changed")
}

func TestDirectoryMembers(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	run(t, pool, `INSERT INTO rolecall.users (id, identifier, banned, deleted_at) VALUES ('user_1', 'a@example.com', false, NULL),
		('user_2', 'b@example.com', true, NULL), ('user_3', 'c@example.com', false, now())`)
	run(t, pool, `INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at, deleted_at) VALUES
		('orgmem_1', 'org_1', 'user_1', 'org:admin', '2026-01-01', NULL), ('orgmem_2', 'org_1', 'user_2', 'org:member', '2026-01-02', NULL),
		('orgmem_3', 'org_1', 'user_3', 'org:member', '2026-01-03', NULL), ('orgmem_4', 'org_1', 'user_4', 'org:member', '2026-01-04', now())`)
	run(t, pool, `INSERT INTO rolecall.invitations (id, organization_id, email, role, status, inviter_id, user_id, created_at, version)
		SELECT id, org, 'b@example.com', 'org:member', 'accepted', inviter, member, created::timestamptz, json_build_object('u', (extract(epoch FROM accepted::timestamptz) * 1000)::bigint)
		FROM (VALUES
		('orginv_1', 'org_1', 'user_9', 'user_2', '2025-01-01', '2026-01-02'), ('orginv_2', 'org_1', 'user_1', 'user_2', '2026-01-01', '2026-01-02'),
		('orginv_3', 'org_1', 'user_9', 'user_2', '2026-02-01', '2026-02-02'), ('orginv_4', 'org_2', 'user_9', 'user_3', '2026-01-01', '2026-01-03'),
		('orginv_5', 'org_1', 'user_9', 'user_1', '2025-01-01', '2025-01-02')) i (id, org, inviter, member, created, accepted)`)
	first, err := store.DirectoryMembers(t.Context(), pool, "org_1", store.Position{}, 2)
	require.NoError(t, err)
	require.Len(t, first, 2)
	require.Equal(t, "user_1", first[0].ID)
	require.Nil(t, first[0].InvitedBy, "that one was accepted for an earlier membership")
	require.True(t, first[1].Banned)
	require.Equal(t, "a@example.com", *first[1].InvitedBy.Identifier, "the newest invitation before the joining")
	rest, err := store.DirectoryMembers(t.Context(), pool, "org_1", store.Position{At: first[1].JoinedAt, ID: first[1].MembershipID}, 5)
	require.NoError(t, err)
	require.Len(t, rest, 1)
	require.NotNil(t, rest[0].DeletedAt)
	require.Nil(t, rest[0].InvitedBy, "an invitation of another workspace")
}

func TestOpenInvitations(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	run(t, pool, `INSERT INTO rolecall.users (id, identifier) VALUES ('user_1', 'a@example.com')`)
	run(t, pool, `INSERT INTO rolecall.invitations (id, organization_id, email, status, inviter_id, created_at, deleted_at) VALUES
		('orginv_1', 'org_1', '1@example.com', 'pending', 'user_1', '2026-01-01', NULL), ('orginv_2', 'org_1', '2@example.com', 'expired', NULL, '2026-01-02', NULL),
		('orginv_3', 'org_1', '3@example.com', 'accepted', NULL, '2026-01-03', NULL), ('orginv_4', 'org_1', '4@example.com', 'revoked', NULL, '2026-01-03', NULL),
		('orginv_5', 'org_1', '5@example.com', 'pending', NULL, '2026-01-03', now()), ('orginv_6', 'org_2', '6@example.com', 'pending', NULL, '2026-01-03', NULL)`)
	open, err := store.OpenInvitations(t.Context(), pool, "org_1", store.Position{}, 5)
	require.NoError(t, err)
	require.Len(t, open, 2)
	require.Equal(t, "a@example.com", *open[0].Inviter.Identifier)
	require.Equal(t, "2@example.com", open[1].Email)
	require.Nil(t, open[1].Inviter)
}

func TestDirectoryMemberships(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	run(t, pool, `INSERT INTO rolecall.organizations (id, name, deleted_at, deleted_cause) VALUES ('org_1', 'North', NULL, ''), ('org_2', 'Gone', '2026-03-01', 'msg_gone')`)
	run(t, pool, `INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at, deleted_at, deleted_cause) VALUES
		('orgmem_0', 'org_1', 'user_1', 'org:member', '2025-01-01', '2025-02-01', 'msg_left'), ('orgmem_1', 'org_1', 'user_1', 'org:admin', '2026-01-01', NULL, ''),
		('orgmem_2', 'org_2', 'user_1', 'org:member', '2026-01-02', NULL, ''), ('orgmem_3', 'org_3', 'user_1', 'org:member', '2026-01-03', NULL, '')`)
	run(t, pool, `INSERT INTO rolecall.users (id, banned) VALUES ('user_1', true)`)
	present, err := store.DirectoryMemberships(t.Context(), pool, "user_1", store.Position{}, 5)
	require.NoError(t, err)
	require.Len(t, present, 2)
	require.Equal(t, "North", present[0].Name)
	require.Equal(t, "org_3", present[1].OrganizationID, "known by its member only")
	next, err := store.DirectoryMemberships(t.Context(), pool, "user_1", present[0].Position(), 5)
	require.NoError(t, err)
	require.Equal(t, present[1:], next)
	former, err := store.FormerMemberships(t.Context(), pool, "user_1", 5)
	require.NoError(t, err)
	require.Len(t, former, 2)
	require.Equal(t, []any{"org_2", "msg_gone", true}, []any{former[0].OrganizationID, former[0].Cause, former[0].WorkspaceDeleted})
	require.Equal(t, []any{"orgmem_0", "msg_left", false}, []any{former[1].MembershipID, former[1].Cause, former[1].WorkspaceDeleted})
	users, err := store.DirectoryUsers(t.Context(), pool, []string{"user_none", "user_1"})
	require.NoError(t, err)
	require.Equal(t, store.DirectoryUser{Person: store.Person{ID: "user_none"}}, users[0])
	require.Equal(t, store.Tally{N: 2}, users[1].Memberships)
}

func TestEntriesAbout(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	run(t, pool, `INSERT INTO rolecall.memberships (id, organization_id, user_id) VALUES ('orgmem_1', 'org_1', 'user_1')`)
	run(t, pool, `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ('', 'user.banned', 'user_1', '2026-01-02', 'msg_2'),
		('org_1', 'member.joined', 'user_1', '2026-01-01', 'msg_1'), ('org_1', 'member.joined', 'user_2', '2026-01-01', 'msg_3'),
		('org_2', 'member.joined', 'user_1', '2026-01-01', 'msg_4'), ('org_1', 'member.role_changed', 'user_1', '2026-01-03', 'msg_5')`)
	entries, err := store.EntriesAbout(t.Context(), pool, store.AuditQuery{Target: "user_1"}, 10)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	require.Equal(t, []string{"msg_5", "msg_2", "msg_1"}, []string{entries[0].Cause, entries[1].Cause, entries[2].Cause})
	entries, err = store.EntriesAbout(t.Context(), pool, store.AuditQuery{Target: "user_1", Action: "member.joined"}, 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "msg_1", entries[0].Cause)
}

// TestEntriesAbout_OfSomebodyWhoCameAndWent: each membership is new, and the workspace is one.
func TestEntriesAbout_OfSomebodyWhoCameAndWent(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	run(t, pool, `INSERT INTO rolecall.memberships (id, organization_id, user_id, created_at, deleted_at)
		SELECT 'orgmem_' || n, 'org_1', 'user_1', '2026-01-01'::timestamptz + n * interval '1 day', '2026-06-01' FROM generate_series(1, 60) n`)
	run(t, pool, `INSERT INTO rolecall.memberships (id, organization_id, user_id, created_at) VALUES ('orgmem_0', 'org_2', 'user_1', '2025-01-01')`)
	run(t, pool, `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ('org_2', 'member.joined', 'user_1', '2025-01-01', 'msg_1')`)
	entries, err := store.EntriesAbout(t.Context(), pool, store.AuditQuery{Target: "user_1"}, 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

// TestEntriesAbout_InPages: none is left out or comes twice, also where entries of several logs, or
// of one, are of one moment.
func TestEntriesAbout_InPages(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	run(t, pool, `INSERT INTO rolecall.memberships (id, organization_id, user_id) SELECT 'orgmem_' || n, 'org_' || n, 'user_1' FROM generate_series(1, 3) n`)
	run(t, pool, `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause)
		SELECT CASE WHEN n % 4 > 0 THEN 'org_' || n % 4 ELSE '' END, 'member.joined', 'user_1', '2026-01-01'::timestamptz + n / 8 * interval '1 s', 'msg_' || n
		FROM generate_series(1, 40) n`)
	run(t, pool, `INSERT INTO rolecall.audit_log (id, organization_id, action, target, at, cause) OVERRIDING SYSTEM VALUE
		SELECT 1000000 - n, 'org_1', 'member.joined', 'user_1', '2026-01-01', 'msg_late' || n FROM generate_series(1, 7) n`) // ids aren't given in the order of numbers
	var ids []int64
	for q := (store.AuditQuery{Target: "user_1"}); ; {
		page, err := store.EntriesAbout(t.Context(), pool, q, 3)
		require.NoError(t, err)
		for _, e := range page {
			ids = append(ids, e.ID)
			q.Before = store.AuditPosition{At: e.At, Seq: e.ID}
		}
		if len(page) < 3 {
			break
		}
	}
	whole, err := store.EntriesAbout(t.Context(), pool, store.AuditQuery{Target: "user_1"}, 100)
	require.NoError(t, err)
	require.Len(t, ids, 47)
	for i, e := range whole {
		require.Equal(t, e.ID, ids[i])
	}
}

// TestEndedSessionsOf counts the sessions that Clerk named the user of, once each.
func TestEndedSessionsOf(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	for _, ended := range [][]clerksync.EndedSession{
		{{ID: "sess_2", UserID: "user_1"}, {ID: "sess_1", UserID: "user_1"}, {ID: "sess_3"}, {ID: "sess_4", UserID: "user_2"}}, {{ID: "sess_1", UserID: "user_1"}},
	} {
		require.NoError(t, store.Write(t.Context(), pool, store.Locked{}, store.Writes{EndedSessions: ended}, time.Now()))
	}
	ended, last, err := store.EndedSessionsOf(t.Context(), pool, "user_1")
	require.NoError(t, err)
	require.Equal(t, store.Tally{N: 2}, ended)
	require.WithinDuration(t, time.Now(), last, time.Minute)
	for _, user := range []string{"user_none", ""} {
		ended, last, err = store.EndedSessionsOf(t.Context(), pool, user)
		require.NoError(t, err)
		require.Zero(t, ended)
		require.True(t, last.IsZero())
	}
	status, err := store.UserStatus(t.Context(), pool, "user_9", store.Sessions{SessionID: "sess_3"})
	require.NoError(t, err)
	require.True(t, status.SessionEnded, "also without a user")
}

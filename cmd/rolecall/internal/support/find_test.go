package support_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func directory(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := pgtest.New(t)
	for _, sql := range []string{
		`INSERT INTO rolecall.users (id, identifier, first_name, last_name, deleted_at) VALUES
			('user_jane', 'jane@example.com', 'Jane', 'Doe', NULL), ('user_old', 'JANE@example.com', 'Jane', 'Doe', now()),
			('user_john', 'john@example.com', 'John', 'Doe', NULL), ('user_fake', 'x@evil.example', 'john@example.com', NULL, NULL),
			('user_nick', 'maria', NULL, NULL, NULL), ('user_maria', 'm@example.com', 'Maria', NULL, NULL),
			('user_gone', 'gone@example.com', 'Gone', 'Girl', now())`,
		`INSERT INTO rolecall.organizations (id, name, slug, deleted_at) VALUES ('org_1', 'Acme', 'acme', NULL), ('org_2', 'Acme Labs', 'labs', NULL),
			('org_3', 'labs', 'shadow', NULL), ('org_4', 'Closed', 'closed', now())`,
		`INSERT INTO rolecall.users (id, identifier) SELECT 'user_many' || n, 'many' || n || '@example.com' FROM generate_series(1, 30) n`,
	} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	return pool
}

// found says what a search for a person or a workspace found: an id, the ids that are meant, or
// why nothing was.
func found(t *testing.T, id string, err error) string {
	t.Helper()
	switch e := err.(type) { //nolint:errorlint // as they are returned
	case nil:
		return id
	case *support.NotFoundError:
		return fmt.Sprintf("none %t", e.ID)
	case *support.AmbiguousError:
		var ids []string
		for _, u := range e.Users {
			ids = append(ids, u.ID)
		}
		for _, w := range e.Workspaces {
			ids = append(ids, w.ID)
		}
		if e.More {
			return fmt.Sprintf("more than %d", len(ids))
		}
		return strings.Join(ids, " ")
	}
	require.NoError(t, err)
	return ""
}

func TestFindUser(t *testing.T) {
	t.Parallel()
	pool := directory(t)
	for text, want := range map[string]string{
		"user_old": "user_old", " user_jane\n": "user_jane", "user_unknown": "none true", "user_not-an-id": "none false",
		"Jane@Example.com": "user_jane", // the living one of two
		"jane doe":         "user_jane",
		"john@example.com": "user_john", // an address is no name of another person
		"maria":            "user_nick user_maria",
		"doe":              "user_jane user_john",
		"jo":               "user_fake user_john",
		"gone":             "user_gone", // marked as deleted
		"many":             "more than 10",
		"many7":            "user_many7",
		"nobody":           "none false", "": "none false", "  ": "none false", "a\x00b": "none false", "\xff": "none false",
		strings.Repeat("x", 300): "none false", "%": "none false",
	} {
		user, err := support.FindUser(t.Context(), pool, text)
		require.Equal(t, want, found(t, user.ID, err), "%.20q", text)
	}
	user, err := support.FindUser(t.Context(), pool, "gone@example.com")
	require.NoError(t, err)
	require.NotNil(t, user.DeletedAt)
}

func TestFindWorkspace(t *testing.T) {
	t.Parallel()
	pool := directory(t)
	for text, want := range map[string]string{
		"org_1": "org_1", "org_none": "none true", "ACME": "org_1", "acme l": "org_2",
		"labs":   "org_2 org_3", // one's slug is another's name
		"closed": "org_4", "shadow": "org_3", "none": "none false", "": "none false", "user_jane": "none false",
	} {
		workspace, err := support.FindWorkspace(t.Context(), pool, text)
		require.Equal(t, want, found(t, workspace.ID, err), "%.20q", text)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	require.EqualError(t, &support.NotFoundError{Kind: support.KindUser, Text: "user_1", ID: true}, "the mirror has no user user_1")
	require.EqualError(t, &support.NotFoundError{Kind: support.KindWorkspace, Text: "x\n"}, `no workspace has the id, slug or name "x\n", or one that begins with it`)
	require.EqualError(t, &support.AmbiguousError{Kind: support.KindUser, Text: "jo", Users: make([]store.DirectoryUser, 2)},
		`"jo" names 2 users: give the id of the one you mean`)
	require.EqualError(t, &support.AmbiguousError{Kind: support.KindWorkspace, Text: "a", Workspaces: make([]store.DirectoryWorkspace, 10), More: true},
		`"a" names more than 10 workspaces: give the id of the one you mean`)
}

func TestSearchWorkspaces(t *testing.T) {
	t.Parallel()
	pool := directory(t)
	search := func(s support.WorkspaceSearch, limit int) (got []string) {
		var after store.NamePosition
		for {
			page, err := support.SearchWorkspaces(t.Context(), pool, s, after, limit)
			require.NoError(t, err)
			for _, w := range page.Page {
				got = append(got, w.ID)
			}
			if page.Next == nil {
				return got
			}
			after = *page.Next
			require.Less(t, len(got), 10)
		}
	}
	for limit := 1; limit < 4; limit++ {
		require.Equal(t, []string{"org_1", "org_2", "org_3"}, search(support.WorkspaceSearch{}, limit))
		require.Equal(t, []string{"org_4"}, search(support.WorkspaceSearch{Deleted: true}, limit))
	}
	require.Equal(t, []string{"org_2", "org_3"}, search(support.WorkspaceSearch{Text: "labs"}, 9), "a slug, and a name")
	require.Equal(t, []string{"org_4"}, search(support.WorkspaceSearch{Text: "org_4"}, 9), "by id, also a deleted one")
	require.Empty(t, search(support.WorkspaceSearch{Text: "a\x00"}, 9))
}

func TestSearchUsers(t *testing.T) {
	t.Parallel()
	pool := directory(t)
	u, err := support.SearchUsers(t.Context(), pool, "many", store.NamePosition{}, 30)
	require.NoError(t, err)
	require.Len(t, u.Page, 30)
	require.False(t, u.More)
	u, err = support.SearchUsers(t.Context(), pool, "many", store.NamePosition{}, 29)
	require.NoError(t, err)
	require.True(t, u.More)
	listed := map[string]bool{}
	var after store.NamePosition
	for {
		u, err := support.SearchUsers(t.Context(), pool, " ", after, 5)
		require.NoError(t, err)
		for _, user := range u.Page {
			require.False(t, listed[user.ID], "%s came twice", user.ID)
			listed[user.ID] = true
		}
		if u.Next == nil {
			break
		}
		after = *u.Next
	}
	require.Len(t, listed, 35, "the living ones")
	u, err = support.SearchUsers(t.Context(), pool, "\xff", store.NamePosition{}, 5)
	require.NoError(t, err)
	require.Empty(t, u.Page)
}

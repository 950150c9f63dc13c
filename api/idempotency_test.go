package api

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// TestIdempotency_RepeatGetsTheFirstAnswer: the same key with the same body gets the same answer,
// and Clerk isn't called again.
func TestIdempotency_RepeatGetsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, member := b.team()
	path := "/v1/workspaces/" + workspace
	for _, c := range []struct{ token, method, path, body string }{
		{admin, http.MethodPost, "/v1/workspaces", `{"name":"Once"}`},
		{admin, http.MethodPost, path + "/invitations", `{"email":"robin@callmine.test","role":"member"}`},
		{admin, http.MethodPatch, path, `{"name":"South"}`},
		{admin, http.MethodPatch, path + "/members/" + member, `{"role":"admin"}`},
		{member, http.MethodPatch, path + "/members/" + member, `{"role":"member"}`}, // by it, the member loses the permission
		{member, http.MethodDelete, path + "/members/" + member, ``},
	} {
		first := b.command(c.token, c.method, c.path, c.body, headerKey, "key 1")
		require.Less(t, first.status, 300, "%s", first.body)
		require.Empty(t, first.header.Get(headerReplayed))
		asked := b.changes()
		again := b.command(c.token, c.method, c.path, c.body, headerKey, "key 1")
		require.Equal(t, first.status, again.status, "%s %s: %s", c.method, c.path, again.body)
		require.Equal(t, first.body, again.body)
		for _, name := range []string{headerRevision, headerAsOf, "Location"} {
			require.Equal(t, first.header.Get(name), again.header.Get(name), name)
		}
		require.Equal(t, "true", again.header.Get(headerReplayed))
		require.Equal(t, asked, b.changes())
	}
	requireType(t, b.command(admin, http.MethodPatch, path, `{"name":"West"}`, headerKey, "key 1"), 422, "idempotency-key-reused")
	require.Equal(t, http.StatusOK, b.command(admin, http.MethodPatch, path, `{"name":"West"}`, headerKey, "key 2").status)
	require.Equal(t, http.StatusNotFound, b.command(member, http.MethodDelete, path+"/members/"+member, "", headerKey, "key 9").status)

	// Another user's key is another key, and a key is forgotten after a day.
	b.join(workspace, member, clerksim.RoleAdmin)
	require.Equal(t, http.StatusOK, b.command(member, http.MethodPatch, path, `{"name":"East"}`, headerKey, "key 1").status)
	_, err := b.pool.Exec(t.Context(), "UPDATE rolecall.commands SET begun_at = begun_at - interval '25 hours'")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, b.command(admin, http.MethodPatch, path, `{"name":"Later"}`, headerKey, "key 1").status)
}

// TestIdempotency_RefusalUsesUpNoKey: a refused command may be tried again with its key.
func TestIdempotency_RefusalUsesUpNoKey(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, member := b.team()
	path := "/v1/workspaces/" + workspace
	step := func() exchange {
		return b.command(admin, http.MethodPatch, path+"/members/"+admin, `{"role":"member"}`, headerKey, "k")
	}
	requireType(t, step(), 409, "last-admin")
	require.Equal(t, http.StatusOK, b.command(admin, http.MethodPatch, path+"/members/"+member, `{"role":"admin"}`).status)
	require.Equal(t, http.StatusOK, step().status)
}

// TestIdempotency_OneKeyAtOnceRunsOnce: of many simultaneous requests with one key, one is carried
// out and the others get a 409.
func TestIdempotency_OneKeyAtOnceRunsOnce(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	user := b.person()
	release := make(chan struct{})
	b.faults.Slow(func(ctx context.Context) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, clerksim.OnRoute("POST /organizations"))
	create := func() exchange {
		return b.command(user, http.MethodPost, "/v1/workspaces", `{"name":"One"}`, headerKey, "k")
	}
	answers := make(chan exchange, 1)
	var wg sync.WaitGroup
	wg.Go(func() { answers <- create() })
	<-b.faults.Reached("POST /organizations", 1)
	refused := make(chan exchange, 8)
	for range cap(refused) {
		wg.Go(func() { refused <- create() })
	}
	for range cap(refused) {
		requireType(t, <-refused, 409, "idempotency-in-progress")
	}
	requireType(t, b.command(user, http.MethodPost, "/v1/workspaces", `{"name":"Two"}`, headerKey, "k"), 422, "idempotency-key-reused")
	close(release)
	first := <-answers
	wg.Wait()
	require.Equal(t, http.StatusCreated, first.status)
	require.Equal(t, first.body, create().body)
	require.Equal(t, 1, b.faults.Calls()["POST /organizations"])
}

// TestCommands_TwoAdminsDemotingEachOtherLeaveOne: both ask at once, and Clerk decides.
func TestCommands_TwoAdminsDemotingEachOtherLeaveOne(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, first, second := b.team()
	path := "/v1/workspaces/" + workspace
	require.Equal(t, http.StatusOK, b.command(first, http.MethodPatch, path+"/members/"+second, `{"role":"admin"}`).status)
	statuses := make([]int, 2)
	var wg sync.WaitGroup
	for i, pair := range [][2]string{{first, second}, {second, first}} {
		wg.Go(func() {
			statuses[i] = b.command(pair[0], http.MethodPatch, path+"/members/"+pair[1], `{"role":"member"}`).status
		})
	}
	wg.Wait()
	admins := 0
	for _, user := range []string{first, second} {
		if b.get(user, path+"/members").status == http.StatusOK {
			admins++
		}
	}
	require.Equal(t, 1, admins, "%v", statuses)
	demoted := 0
	for _, e := range b.audit(workspace) {
		if e.Action == "member.role_changed" {
			demoted++
			require.NotEmpty(t, e.Actor)
		}
	}
	require.Equal(t, 2, demoted, "one promotion, one demotion")
}

// TestIdempotency_RepeatRecordsAnUnrecordedChange: Clerk has made the change, and the database
// fails before the change is recorded. The answer says so, and a repeat completes the command.
func TestIdempotency_RepeatRecordsAnUnrecordedChange(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, _ := b.team()
	path := "/v1/workspaces/" + workspace
	rename := func() exchange { return b.command(admin, http.MethodPatch, path, `{"name":"South"}`, headerKey, "k") }
	lift := b.faults.AfterAnswer(func(clerksim.Call) {
		if _, err := b.pool.Exec(context.Background(), "ALTER TABLE rolecall.audit_log RENAME TO audit_log_away"); err != nil {
			t.Error(err)
		}
	}, clerksim.OnRoute("PATCH /organizations/{id}"))
	requireType(t, rename(), 502, "accepted-not-recorded")
	require.Contains(t, b.logs.take(), "record command")
	lift()
	_, err := b.pool.Exec(t.Context(), "ALTER TABLE rolecall.audit_log_away RENAME TO audit_log")
	require.NoError(t, err)
	o, _ := b.clerk.Organization(workspace)
	require.Equal(t, "South", o.Name)
	require.Equal(t, "North", b.fields(b.get(admin, path))["name"])
	require.Equal(t, http.StatusOK, rename().status)
	require.Equal(t, "South", b.fields(b.get(admin, path))["name"])
	entries := b.audit(workspace)
	require.Equal(t, auditLine{"workspace.renamed", admin, workspace}, entries[len(entries)-1])
}

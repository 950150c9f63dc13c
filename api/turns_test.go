package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestLists_EachUserReadsOneAtATime: while one page is being read, a second one of the same user
// doesn't reach Postgres, and one of another user does.
func TestLists_EachUserReadsOneAtATime(t *testing.T) {
	t.Parallel()
	for target, table := range map[string]string{
		"members": "roles", "invitations": "invitations", "audit": "audit_log", "audit/export": "audit_log",
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			decided := make(chan clerksync.Reason, 10)
			b := setupServer(t, func(c *Config) { c.Decided = func(r clerksync.Reason) { decided <- r } })
			b.world.member("org_1", "user_1", "org:admin", nil)
			b.world.member("org_1", "user_2", "org:admin", nil)
			var group sync.WaitGroup
			read := func(user string) {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/v1/workspaces/org_1/"+target, http.NoBody)
				require.NoError(t, err)
				request.Header.Set("Authorization", "Bearer "+user)
				group.Go(func() {
					answer, err := b.client.Do(request)
					if err == nil {
						_, err = io.Copy(io.Discard, answer.Body)
						err = errors.Join(err, answer.Body.Close())
					}
					if err != nil || answer.StatusCode != http.StatusOK {
						t.Error(err, answer)
					}
				})
				require.Equal(t, clerksync.ReasonAllowed, <-decided)
			}
			read("user_1") // so that the roles are known
			group.Wait()
			release := b.db.Hold(t, "LOCK TABLE rolecall."+table+" IN ACCESS EXCLUSIVE MODE")
			read("user_1")
			b.db.UntilBlocked(t, 1)
			read("user_1")
			read("user_2")
			b.db.UntilBlocked(t, 2)
			require.Equal(t, 2, b.db.Count(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"))
			release()
			group.Wait()
		})
	}
}

// arrivals signals each request that was authenticated.
type arrivals struct {
	tokenAuthenticator

	arrived chan struct{}
}

func (a arrivals) Authenticate(ctx context.Context, r *http.Request) (auth.Identity, error) {
	defer func() { a.arrived <- struct{}{} }()
	return a.tokenAuthenticator.Authenticate(ctx, r)
}

// TestLists_EachServiceReadsOneOfEachWorkspaceAtATime: a service that waits for a page of one
// workspace still reads others.
func TestLists_EachServiceReadsOneOfEachWorkspaceAtATime(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 10)
	b := setupServer(t, func(c *Config) { c.Authenticator = arrivals{arrived: arrived} })
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.member("org_2", "user_2", "org:admin", nil)
	var group sync.WaitGroup
	read := func(workspace string) {
		group.Go(func() { b.get(serviceToken+"/scopes=read", "/v1/workspaces/"+workspace+"/members") })
		<-arrived
	}
	read("org_1") // so that the roles are known
	group.Wait()
	release := b.db.Hold(t, "LOCK TABLE rolecall.roles IN ACCESS EXCLUSIVE MODE")
	read("org_1")
	b.db.UntilBlocked(t, 1)
	read("org_1")
	read("org_2")
	b.db.UntilBlocked(t, 2)
	require.Equal(t, 2, b.db.Count(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"))
	release()
	group.Wait()
}

// TestSearches_EachWorkspaceAndUserIsSearchedOnceAtATime: a second search of the same doesn't reach
// Postgres, and one of another does.
func TestSearches_EachWorkspaceAndUserIsSearchedOnceAtATime(t *testing.T) {
	t.Parallel()
	for kind, bodies := range map[string][2]string{
		"subject":  {asked(`{"type":"user"}`, read, record1), asked(`{"type":"user"}`, read, record2)},
		"resource": {asked(alice, read, `{"type":"record"}`), asked(bob, read, `{"type":"record"}`)},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			arrived := make(chan struct{}, 10)
			b := setupAuthZEN(t, func(c *Config) { c.Authenticator = arrivals{arrived: arrived} })
			var group sync.WaitGroup
			search := func(body string) {
				group.Go(func() { b.ask(serviceToken, "search/"+kind, body) })
				<-arrived
			}
			search(bodies[0]) // so that the roles are known
			group.Wait()
			release := b.db.Hold(t, "LOCK TABLE rolecall.roles IN ACCESS EXCLUSIVE MODE")
			search(bodies[0])
			b.db.UntilBlocked(t, 1)
			search(bodies[0])
			search(bodies[1])
			b.db.UntilBlocked(t, 2)
			require.Equal(t, 2, b.db.Count(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"))
			release()
			group.Wait()
		})
	}
}

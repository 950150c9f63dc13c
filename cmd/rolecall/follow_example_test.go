package main

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/client"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// docs/integrate.md shows the two functions.

// closeSockets closes the sockets of everybody who ceases to be a member.
func closeSockets(ctx context.Context, rolecall *client.Client, closeSocket func(workspaceID, userID string)) error {
	var members client.Members
	for batch, err := range rolecall.Follow(ctx, client.FollowOptions{StartAnew: true}) {
		if err != nil {
			return err
		}
		for _, left := range members.Apply(batch) {
			closeSocket(left.WorkspaceID, left.UserID)
		}
	}
	return nil
}

// cutKeys deletes the API keys of each membership that ends.
func cutKeys(ctx context.Context, rolecall *client.Client, db *pgx.Conn, after string) error {
	for batch, err := range rolecall.Follow(ctx, client.FollowOptions{After: after}) {
		if err != nil {
			return err
		}
		err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
			for _, change := range batch.Changes {
				if change.Kind != "member.removed" && change.Kind != "member.left" {
					continue
				}
				if _, err := tx.Exec(ctx, "DELETE FROM api_keys WHERE membership_id = $1", change.MembershipID); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, "UPDATE followed SET cursor = $1", batch.Cursor)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// follows starts a service on a database of its own. The client may follow the feed, and tells when
// it first waits for a change: by then it has caught up.
func follows(t *testing.T) (b *servicetest.Bundle, rolecall *client.Client, caughtUp <-chan struct{}) {
	t.Helper()
	url := pgtest.URL(t)
	b = servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, func(_ *servicetest.Bundle, cfg *config.Config) {
		cfg.ServiceTokens += "/scopes=read+authorize"
	})
	b.Open(t, url)
	rolecall, caughtUp = newFollower(t, b.Web(""), b.ServiceToken)
	return b, rolecall, caughtUp
}

func newFollower(t *testing.T, url, token string) (rolecall *client.Client, caughtUp <-chan struct{}) {
	t.Helper()
	waits := make(chan struct{})
	var once sync.Once
	rolecall, err := client.New(client.Config{URL: url, ServiceToken: token, HTTPClient: &http.Client{Transport: sending(func(r *http.Request) {
		if !strings.Contains(r.URL.RawQuery, "wait=0") {
			once.Do(func() { close(waits) })
		}
	})}})
	require.NoError(t, err)
	return rolecall, waits
}

// sending is a transport that tells of each request.
type sending func(*http.Request)

// RoundTrip implements [http.RoundTripper].
func (f sending) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return http.DefaultTransport.RoundTrip(r)
}

// sockets are told whose to close.
type sockets chan client.Departure

// close closes the sockets of a user in a workspace.
func (s sockets) close(workspaceID, userID string) {
	s <- client.Departure{WorkspaceID: workspaceID, UserID: userID}
}

// TestFollowExample_ClosesSockets: of whoever is removed, of whoever is banned, and of all members
// of a workspace that is deleted; and soon.
func TestFollowExample_ClosesSockets(t *testing.T) {
	t.Parallel()
	b, rolecall, caughtUp := follows(t)
	workspace, admin, member, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	ctx, cancel := context.WithCancel(t.Context())
	closed := make(sockets, 100)
	ended := make(chan error, 1)
	go func() { ended <- closeSockets(ctx, rolecall, closed.close) }()
	<-caughtUp

	next := func(change func() error, want ...client.Departure) {
		t.Helper()
		require.NoError(t, change())
		messages := b.Clerk.Drain()
		began := time.Now()
		for _, m := range messages {
			_, err := b.Courier.Send(t.Context(), m)
			require.NoError(t, err)
		}
		acknowledged := time.Now()
		var got []client.Departure
		for range want {
			select {
			case left := <-closed:
				got = append(got, left)
			case <-time.After(30 * time.Second):
				require.Fail(t, "a socket stays open")
			}
		}
		t.Logf("closed %v after the delivery was sent, %v after it was acknowledged", time.Since(began), time.Since(acknowledged))
		require.ElementsMatch(t, want, got)
	}
	next(func() error { return b.Clerk.RemoveMember(workspace, member) }, client.Departure{WorkspaceID: workspace, UserID: member})
	b.Applied(t)
	next(func() error { _, err := b.Clerk.AddMember(workspace, member, clerksim.RoleMember); return err })
	b.Applied(t)
	next(func() error { _, err := b.Clerk.BanUser(member); return err }, client.Departure{WorkspaceID: workspace, UserID: member})
	b.Applied(t)
	next(func() error { _, err := b.Clerk.UnbanUser(member); return err })
	b.Applied(t)
	next(func() error { return b.Clerk.DeleteOrganization(workspace) },
		client.Departure{WorkspaceID: workspace, UserID: member}, client.Departure{WorkspaceID: workspace, UserID: admin})

	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Empty(t, closed)
}

// TestFollowExample_CutsKeys: of a membership that ended, and not of the one after it. A consumer
// that starts again goes on where it was.
func TestFollowExample_CutsKeys(t *testing.T) {
	t.Parallel()
	b, rolecall, _ := follows(t)
	workspace, _, member, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	_, err := b.DB.Exec(t.Context(), `CREATE TABLE public.api_keys (membership_id text); CREATE TABLE public.followed (cursor text); INSERT INTO public.followed VALUES ('')`)
	require.NoError(t, err)
	for range 2 {
		held, ok := b.Clerk.Membership(workspace, member)
		require.True(t, ok)
		require.NoError(t, b.Clerk.RemoveMember(workspace, member))
		_, err = b.Clerk.AddMember(workspace, member, clerksim.RoleMember)
		require.NoError(t, err)
		renewed, ok := b.Clerk.Membership(workspace, member)
		require.True(t, ok)
		b.Send(t, b.Clerk.Drain()...)
		_, err = b.DB.Exec(t.Context(), "INSERT INTO public.api_keys VALUES ($1), ($2)", held.ID, renewed.ID)
		require.NoError(t, err)

		db, err := pgx.Connect(t.Context(), b.Config.DatabaseURL)
		require.NoError(t, err)
		var cursor string
		require.NoError(t, db.QueryRow(t.Context(), "SELECT cursor FROM public.followed").Scan(&cursor))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- cutKeys(ctx, rolecall, db, cursor) }()
		servicetest.Eventually(t, func() bool {
			var left []string
			err := b.DB.QueryRow(t.Context(), "SELECT array_agg(membership_id) FROM public.api_keys").Scan(&left)
			return err == nil && len(left) == 1 && left[0] == renewed.ID
		}, "the key of the ended membership is cut, and only that one")
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		_ = db.Close(context.WithoutCancel(t.Context())) // the cancelled query may have closed it
		_, err = b.DB.Exec(t.Context(), "DELETE FROM public.api_keys")
		require.NoError(t, err)
	}
}

package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/svixsim"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
)

// follower follows the change feed by its cursor alone, as a service would.
type follower struct {
	b      *servicetest.Bundle
	token  string
	cursor string

	changes []followed
	// What it made of them.
	members map[[2]string]map[string]*followedMember // by workspace and user, then by membership
	deleted map[string]bool                          // workspaces
	users   map[string]map[string]bool               // what is held against users
}

type followed struct {
	Cursor       string    `json:"cursor"`
	At           time.Time `json:"at"`
	WorkspaceID  string    `json:"workspace_id"`
	Kind         string    `json:"kind"`
	UserID       string    `json:"user_id"`
	MembershipID string    `json:"membership_id"`
	Role         string    `json:"role"`
	Deleted      *bool     `json:"deleted"`
	Banned       *bool     `json:"banned"`
	Provisioned  *bool     `json:"deprovisioned"`
}

type followedMember struct {
	joined time.Time
	ended  bool
}

// withFollower lets a service follow the feed of a service, and returns its token.
func withFollower(t testing.TB, cfg *config.Config) (token string) {
	t.Helper()
	token, hash, err := auth.NewServiceToken(strings.NewReader(strings.Repeat("follower", 8)))
	require.NoError(t, err)
	cfg.ServiceTokens += ",follower:" + hash + "/scopes=read"
	return token
}

func newFollower(b *servicetest.Bundle, token string) *follower {
	return &follower{b: b, token: token, members: map[[2]string]map[string]*followedMember{}, deleted: map[string]bool{}, users: map[string]map[string]bool{}}
}

// ask asks for one page.
func (f *follower) ask(t require.TestingT, query string) (changes []followed, completeUntil time.Time) {
	changes, completeUntil, err := f.next(query)
	require.NoError(t, err)
	return changes, completeUntil
}

func (f *follower) next(query string) (changes []followed, completeUntil time.Time, err error) {
	if f.cursor != "" {
		query += "&after=" + f.cursor
	}
	request, err := http.NewRequest(http.MethodGet, f.b.Web("/v1/changes?"+query), nil)
	if err != nil {
		return nil, completeUntil, err
	}
	request.Header.Set("Authorization", "Bearer "+f.token)
	response, err := f.b.Client.Do(request)
	if err != nil {
		return nil, completeUntil, err
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, completeUntil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, completeUntil, fmt.Errorf("%d %s", response.StatusCode, text)
	}
	var body struct {
		Data          []followed `json:"data"`
		NextCursor    string     `json:"next_cursor"`
		CompleteUntil time.Time  `json:"complete_until"`
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return nil, completeUntil, err
	}
	f.cursor = body.NextCursor
	for _, c := range body.Data {
		place, err := store.ParseFeedPlace(c.Cursor)
		if err != nil {
			return nil, completeUntil, err
		}
		// The database may get another history meanwhile: that deliveries of the history before are
		// gone looks like a loss.
		c.Cursor = fmt.Sprint(place.Number, place.PublishedAt)
		f.take(c)
	}
	return body.Data, body.CompleteUntil, nil
}

// catchUp reads until the feed is complete up to now.
func (f *follower) catchUp(t require.TestingT) {
	for now := time.Now(); ; {
		changes, until := f.ask(t, "limit=7")
		if len(changes) < 7 && until.After(now) {
			return
		}
	}
}

func (f *follower) take(c followed) {
	f.changes = append(f.changes, c)
	switch c.Kind {
	case "member.joined":
		who := [2]string{c.WorkspaceID, c.UserID}
		if f.members[who] == nil {
			f.members[who] = map[string]*followedMember{}
		}
		if m := f.members[who][c.MembershipID]; m != nil { // it had only seemed to have ended
			m.ended = false
		} else {
			f.members[who][c.MembershipID] = &followedMember{joined: c.At}
		}
	case "member.removed", "member.left":
		if m := f.members[[2]string{c.WorkspaceID, c.UserID}][c.MembershipID]; m != nil {
			m.ended = true
		}
	case "workspace.deleted":
		f.deleted[c.WorkspaceID] = true
	case "workspace.created":
		delete(f.deleted, c.WorkspaceID)
	}
	if c.UserID != "" && c.WorkspaceID == "" {
		held := f.users[c.UserID]
		if held == nil {
			held = map[string]bool{}
			f.users[c.UserID] = held
		}
		for name, is := range map[string]*bool{"deleted": c.Deleted, "banned": c.Banned, "deprovisioned": c.Provisioned} {
			if is != nil {
				held[name] = *is
			}
		}
	}
}

// isMember says who is a member, as far as the changes tell. Of several memberships, the one counts
// that joined last. The clocks of Clerk's machines may differ by a tenth of a second.
func (f *follower) isMember(org, user string) bool {
	held := f.users[user]
	if f.deleted[org] || held["deleted"] || held["banned"] || held["deprovisioned"] {
		return false
	}
	var last time.Time
	memberships := f.members[[2]string{org, user}]
	for _, m := range memberships {
		if m.joined.After(last) {
			last = m.joined
		}
	}
	for _, m := range memberships {
		if !m.ended && !m.joined.Add(100*time.Millisecond).Before(last) {
			return true
		}
	}
	return false
}

func (h *history) compareFollower(name string, f *follower) {
	directory := h.clerk.Directory()
	for _, org := range h.orgs {
		for _, user := range h.users {
			require.Equal(h.rt, directory.Role(org, user) != "", f.isMember(org, user), "%s: %s in %s", name, user, org)
		}
	}
}

// TestFollower_KnowsTheMembers: after any history, however its webhooks came, a service that
// follows the feed knows the members of every workspace. So does one that begins anew, also after
// the log was cut.
func TestFollower_KnowsTheMembers(t *testing.T) {
	t.Parallel()
	var token string
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, func(_ *servicetest.Bundle, cfg *config.Config) { token = withFollower(t, cfg) })
	b.Open(t, url)
	clerk := &movingClerk{}
	server := httptest.NewServer(clerk)
	t.Cleanup(server.Close)
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, rt, b)
		h.forgetLog()
		follows := newFollower(b, token)
		follows.cursor = "latest"
		follows.ask(rt, "limit=1")
		start := follows.cursor
		rt.Repeat(h.actions())
		lost := rapid.SampledFrom([]float64{0, 0, 0.5}).Draw(rt, "lost")
		h.deliver(svixsim.Faults{Repeat: 0.2, Delay: 0.2, Replay: 0.2, Drop: lost})
		if lost > 0 {
			h.readLag = time.Millisecond
			h.sweep(server.URL, clerk)
			h.deliver(svixsim.Faults{}) // what changed during the sweep, and what was lost
		}
		follows.catchUp(rt)
		h.compareFollower("one who follows", follows)
		late := newFollower(b, token)
		late.cursor = start
		late.catchUp(rt)
		require.Equal(rt, follows.changes, late.changes, "everybody gets the same")
		if rapid.Bool().Draw(rt, "cut") {
			require.NoError(rt, jobs.CutLog(t.Context(), b.DB, time.Now().Add(time.Minute), 0))
			anew := newFollower(b, token)
			anew.catchUp(rt)
			h.compareFollower("one who begins after a cut", anew)
			follows.catchUp(rt) // it had read all that was cut
			h.compareFollower("one who goes on after a cut", follows)
		}
	})
}

// forgetLog empties the audit log of the history before, which may have the same ids.
func (h *history) forgetLog() {
	_, err := h.b.DB.Exec(h.t.Context(), `ALTER TABLE rolecall.audit_log DISABLE TRIGGER USER; ALTER TABLE rolecall.audit_cuts DISABLE TRIGGER USER;
		TRUNCATE rolecall.audit_log, rolecall.audit_heads, rolecall.audit_cuts, rolecall.changes, rolecall.unpublished, rolecall.feed_cuts;
		ALTER TABLE rolecall.audit_log ENABLE TRIGGER USER; ALTER TABLE rolecall.audit_cuts ENABLE TRIGGER USER`)
	require.NoError(h.rt, err)
}

// TestFollower_HearsOfARemovalAtOnce, also from a process that applies no webhooks itself.
func TestFollower_HearsOfARemovalAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true})
	b.Open(t, url)
	var token string
	web := servicetest.Start(t, url, nil, config.Parts{Web: true}, func(_ *servicetest.Bundle, cfg *config.Config) {
		cfg.SigningSecrets, cfg.InstanceID, cfg.Issuer = b.Config.SigningSecrets, b.Config.InstanceID, b.Config.Issuer
		token = withFollower(t, cfg)
	})
	f := newFollower(web, token)
	user, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	org, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{Name: "North"})
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	f.catchUp(t)
	best := time.Hour
	for round := 0; round < 10 && best >= heardWithin; round++ { // other tests may slow one round down
		best = min(best, medianDelay(t, b, f, org.ID, user.ID))
		t.Logf("from the removal's transaction to the follower: median %s at best", best)
	}
	require.Less(t, best, heardWithin)
}

// heardWithin bounds the median of a round. It is many times what an idle machine takes, which the
// benchmarks hold against the promise, and a fraction of the second after which a process publishes
// what nobody waits for.
const heardWithin = 200 * time.Millisecond

// medianDelay returns how long it takes until a follower who waits hears of a removal.
func medianDelay(t *testing.T, b *servicetest.Bundle, f *follower, org, user string) time.Duration {
	t.Helper()
	var took []time.Duration
	for range 9 {
		_, err := b.Clerk.AddMember(org, user, clerksim.RoleMember)
		require.NoError(t, err)
		b.Send(t, b.Clerk.Drain()...)
		f.catchUp(t)
		require.True(t, f.isMember(org, user))
		require.NoError(t, b.Clerk.RemoveMember(org, user))
		heard := make(chan time.Time)
		go func() {
			for failed := error(nil); failed == nil && f.isMember(org, user); {
				_, _, failed = f.next("wait=20")
			}
			heard <- time.Now()
		}()
		b.Send(t, b.Clerk.Drain()...)
		at := <-heard
		require.False(t, f.isMember(org, user))
		var committed time.Time
		require.NoError(t, b.DB.QueryRow(t.Context(), "SELECT max(applied_at) FROM rolecall.deliveries").Scan(&committed))
		took = append(took, at.Sub(committed))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// TestFollower_DelaysNoStop: those who wait are answered, and streams end, as soon as a process
// begins to stop.
func TestFollower_DelaysNoStop(t *testing.T) {
	t.Parallel()
	var token string
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, func(_ *servicetest.Bundle, cfg *config.Config) { token = withFollower(t, cfg) })
	waits, streams := newFollower(b, token), newFollower(b, token)
	ended := make(chan error, 2)
	go func() { _, _, err := waits.next("wait=60"); ended <- err }()
	go func() { ended <- streams.stream(t.Context()) }()
	require.Eventually(t, func() bool {
		_, text := b.Text(t, "/metrics")
		return strings.Contains(text, "\nrolecall_feed_waiting 2\n")
	}, 20*time.Second, 10*time.Millisecond)
	began := time.Now()
	require.NoError(t, b.Service.Stop(t.Context()))
	require.Less(t, time.Since(began), 5*time.Second)
	require.NoError(t, <-ended)
	require.NoError(t, <-ended)
}

// stream reads a stream to its end.
func (f *follower) stream(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.b.Web("/v1/changes"), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+f.token)
	request.Header.Set("Accept", "text/event-stream")
	response, err := f.b.Client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close())
}

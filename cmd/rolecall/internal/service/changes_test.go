package service_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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
)

// follower follows the change feed by its cursor alone, as a service would.
type follower struct {
	b      *servicetest.Bundle
	token  string
	cursor string

	changes []followed
	// What it made of them.
	members map[[2]string]*followedMember // by workspace and user: the membership that was created last
	deleted map[string]bool               // workspaces
	users   map[string]map[string]bool    // what is held against users
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
	id, role string
	joined   time.Time
	ended    bool
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
	return &follower{b: b, token: token, members: map[[2]string]*followedMember{}, deleted: map[string]bool{}, users: map[string]map[string]bool{}}
}

// ask asks for one page.
func (f *follower) ask(t require.TestingT, query string) (changes []followed, completeUntil time.Time) {
	if f.cursor != "" {
		query += "&after=" + f.cursor
	}
	request, err := http.NewRequest(http.MethodGet, f.b.Web("/v1/changes?"+query), nil) //nolint:noctx // of a rapid test
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+f.token)
	response, err := f.b.Client.Do(request)
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode, "%s", text)
	var body struct {
		Data          []followed `json:"data"`
		NextCursor    string     `json:"next_cursor"`
		CompleteUntil time.Time  `json:"complete_until"`
	}
	require.NoError(t, json.Unmarshal(text, &body))
	f.cursor = body.NextCursor
	for _, c := range body.Data {
		f.take(c)
	}
	return body.Data, body.CompleteUntil
}

// catchUp reads until the feed is complete up to now.
func (f *follower) catchUp(t require.TestingT) {
	for now := time.Now(); ; {
		changes, until := f.ask(t, fmt.Sprintf("limit=7&wait=%d", min(1, len(f.changes)%2)))
		if len(changes) < 7 && until.After(now) {
			return
		}
	}
}

func (f *follower) take(c followed) {
	f.changes = append(f.changes, c)
	who := [2]string{c.WorkspaceID, c.UserID}
	switch c.Kind {
	case "member.joined":
		m := f.members[who]
		switch {
		case m != nil && m.id == c.MembershipID:
			m.ended, m.role = false, c.Role
		case m == nil || !c.At.Before(m.joined):
			f.members[who] = &followedMember{id: c.MembershipID, role: c.Role, joined: c.At}
		}
	case "member.role_changed":
		if m := f.members[who]; m != nil && m.id == c.MembershipID {
			m.role = c.Role
		}
	case "member.removed", "member.left":
		if m := f.members[who]; m != nil && m.id == c.MembershipID {
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

// isMember says who is a member, as far as the changes tell.
func (f *follower) isMember(org, user string) bool {
	m, held := f.members[[2]string{org, user}], f.users[user]
	return m != nil && !m.ended && !f.deleted[org] && !held["deleted"] && !held["banned"] && !held["deprovisioned"]
}

func (h *history) compareFollower(name string, f *follower) {
	directory := h.clerk.Directory()
	for _, org := range h.orgs {
		for _, user := range h.users {
			require.Equal(h.rt, directory.Role(org, user) != "", f.isMember(org, user), "%s: %s in %s", name, user, org)
		}
	}
}

// TestFollower_KnowsTheMembers: after any history, however its webhooks came, a service that follows
// the feed knows the members of every workspace. So does one that begins anew, also after the log
// was cut.
func TestFollower_KnowsTheMembers(t *testing.T) {
	t.Parallel()
	var token string
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, func(_ *servicetest.Bundle, cfg *config.Config) { token = withFollower(t, cfg) })
	b.Open(t, url)
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, rt, b)
		follows := newFollower(b, token)
		follows.cursor = "latest"
		follows.ask(rt, "limit=1")
		start := follows.cursor
		rt.Repeat(h.actions())
		h.deliver(svixsim.Faults{Repeat: 0.2, Delay: 0.2, Replay: 0.2})
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
	var took []time.Duration
	for range 20 {
		_, err := b.Clerk.AddMember(org.ID, user.ID, clerksim.RoleMember)
		require.NoError(t, err)
		b.Send(t, b.Clerk.Drain()...)
		f.catchUp(t)
		require.True(t, f.isMember(org.ID, user.ID))
		require.NoError(t, b.Clerk.RemoveMember(org.ID, user.ID))
		heard := make(chan time.Time)
		go func() {
			for f.isMember(org.ID, user.ID) {
				f.ask(t, "wait=20")
			}
			heard <- time.Now()
		}()
		b.Send(t, b.Clerk.Drain()...)
		at := <-heard
		var committed time.Time
		require.NoError(t, b.DB.QueryRow(t.Context(), "SELECT max(applied_at) FROM rolecall.deliveries").Scan(&committed))
		took = append(took, at.Sub(committed))
	}
	slices.Sort(took)
	t.Logf("from the removal's transaction to the follower: median %s, at most %s", took[len(took)/2], took[len(took)-1])
	require.Less(t, took[len(took)/2], time.Second)
}

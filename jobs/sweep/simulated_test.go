package sweep

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/mirrortest"
)

// The routes of Clerk's lists.
const (
	listMemberships = "GET /organization_memberships"
	listInvitations = "GET /organization_invitations"
	listUsers       = "GET /users"
	countUsers      = "GET /users/count"
)

// simulated is a bundle with a simulated Clerk.
type simulated struct {
	*bundle

	t            *testing.T
	clerk        *mirrortest.Clerk
	world        *clerksim.World
	faults       *clerksim.APIFaults
	organization string // that has the members

	mu    sync.Mutex
	calls []clerksim.Call
}

// simulate returns a bundle whose Clerk has one organization with some members. The first of them
// is its admin. No webhook reports them.
func simulate(t *testing.T, members int) *simulated {
	t.Helper()
	s := &simulated{bundle: setup(t), t: t, clerk: mirrortest.NewClerk(t)}
	s.world, s.faults = s.clerk.World, s.clerk.Faults
	s.world.Populate(1, members)
	for id := range s.world.Directory().Organizations {
		s.organization = id
	}
	s.faults.BeforeAnswer(func(c clerksim.Call) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls = append(s.calls, c)
	}, nil)
	return s
}

// sweep sweeps once, which must succeed.
func (s *simulated) sweep(opts Options) Report {
	s.t.Helper()
	return s.bundle.sweep(s.t, s.clerk.Client, opts)
}

// interrupt runs a sweep that is interrupted at the first call that when matches.
func (s *simulated) interrupt(when clerksim.Match) {
	s.t.Helper()
	s.interruptWith(Options{}, when)
}

func (s *simulated) interruptWith(opts Options, when clerksim.Match) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	lift := s.faults.BeforeAnswer(func(clerksim.Call) { cancel() }, when)
	defer lift()
	var err error
	mirrortest.Eventually(s.t, func() bool { // as in [bundle.sweep]
		_, err = s.sweeper(s.t, s.clerk.Client).Run(ctx, opts)
		return !errors.Is(err, ErrRunning)
	})
	require.ErrorIs(s.t, err, context.Canceled)
}

// webhooks applies all events that Clerk has sent since the last call. Those that a test doesn't
// apply are lost.
func (s *simulated) webhooks() {
	for _, d := range s.clerk.Deliveries() {
		s.Deliver(s.t, d)
	}
}

// rolesAtClerk returns the role of each membership at Clerk whose user may act.
func (s *simulated) rolesAtClerk() map[string]string {
	roles, directory := map[string]string{}, s.world.Directory()
	for _, m := range directory.Memberships() {
		if role := directory.Role(m.OrganizationID, m.UserID); role != "" {
			roles[m.ID] = role
		}
	}
	return roles
}

// requireEqual requires that the mirror has the members that Clerk has.
func (s *simulated) requireEqual() {
	s.t.Helper()
	require.Equal(s.t, s.rolesAtClerk(), s.Roles(s.t))
}

// lookUps returns how many objects were looked up.
func (s *simulated) lookUps() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := map[string]bool{}
	for _, c := range s.calls {
		if clerksim.Lookups(c) {
			asked[c.Request.URL.Path+c.Request.URL.Query().Get("user_id")] = true
		}
	}
	return len(asked)
}

// pages returns the routes and offsets of the pages that were listed.
func (s *simulated) pages() (pages []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if clerksim.Listings(c) {
			pages = append(pages, c.Route+"@"+c.Request.URL.Query().Get("offset"))
		}
	}
	return pages
}

// forgetCalls makes lookUps and pages count from now on.
func (s *simulated) forgetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// member makes a user who is a member of the organization at Clerk.
func (s *simulated) member() clerksim.Membership {
	s.t.Helper()
	user, err := s.world.CreateUser(clerksim.NewUser{})
	require.NoError(s.t, err)
	m, err := s.world.AddMember(s.organization, user.ID, "")
	require.NoError(s.t, err)
	return m
}

// setRole changes the role of a member at Clerk.
func (s *simulated) setRole(m clerksim.Membership, role string) {
	s.t.Helper()
	_, err := s.world.SetRole(m.OrganizationID, m.UserID, role)
	require.NoError(s.t, err)
}

// remove ends memberships at Clerk.
func (s *simulated) remove(members ...clerksim.Membership) {
	s.t.Helper()
	for _, m := range members {
		require.NoError(s.t, s.world.RemoveMember(m.OrganizationID, m.UserID))
	}
}

// role makes a role at Clerk, with one permission of its own.
func (s *simulated) role(key, permission string) clerksim.Role {
	s.t.Helper()
	_, err := s.world.CreatePermission(permission, permission)
	require.NoError(s.t, err)
	r, err := s.world.CreateRole(clerksim.NewRole{Key: key, Permissions: []string{permission}})
	require.NoError(s.t, err)
	return r
}

// renameRole gives a role another key at Clerk.
func (s *simulated) renameRole(r clerksim.Role, key string) {
	s.t.Helper()
	_, err := s.world.UpdateRole(r.ID, clerksim.RoleUpdate{Key: &key})
	require.NoError(s.t, err)
}

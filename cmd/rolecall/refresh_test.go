package main

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// setupAsking starts a service that may ask Clerk, and sweeps never.
func setupAsking(t testing.TB, changes ...func(*bundle, *config.Config)) *bundle {
	t.Helper()
	b := startBundle(t, pgtest.URL(t), nil, config.Parts{Web: true, Workers: true}, append([]func(*bundle, *config.Config){asksClerk}, changes...)...)
	var err error
	b.db, err = pgxpool.New(t.Context(), b.cfg.DatabaseURL)
	require.NoError(t, err)
	t.Cleanup(b.db.Close)
	return b
}

// lookUpRoute is where Clerk is asked about one member.
const lookUpRoute = "GET /organizations/{id}/memberships"

// people makes an organization with an admin, and somebody who was invited; nothing of it is delivered.
func people(t testing.TB, b *bundle) (org, admin, invited, invitation string) {
	t.Helper()
	a, err := b.clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	o, err := b.clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: a.ID})
	require.NoError(t, err)
	u, err := b.clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	i, err := b.clerk.Invite(o.ID, a.ID, *u.Identifier(), clerksim.RoleMember)
	require.NoError(t, err)
	return o.ID, a.ID, u.ID, i.ID
}

// TestWhoJustAcceptedAnInvitationGetsInAtTheFirstRequest: no webhook has come yet, neither of the organization nor of the member.
func TestWhoJustAcceptedAnInvitationGetsInAtTheFirstRequest(t *testing.T) {
	t.Parallel()
	b := setupAsking(t)
	org, _, invited, invitation := people(t, b)
	_, err := b.clerk.Accept(invitation, invited)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, b.may(t, b.token(t, invited), org, "reports:read"))
	require.Equal(t, http.StatusForbidden, b.may(t, b.token(t, invited), org, "billing:manage"))
	require.Equal(t, 1, b.faults.Calls()[lookUpRoute])

	b.send(t, b.clerk.Drain()...)
	require.Equal(t, http.StatusOK, b.may(t, b.token(t, invited), org, "reports:read"))
	var joined int
	require.NoError(t, b.db.QueryRow(t.Context(),
		"SELECT count(*) FROM rolecall.audit_log WHERE action = 'member.joined' AND target = $1", invited).Scan(&joined))
	require.Equal(t, 1, joined, "the webhook told nothing new")
}

func TestFiftyRequestsAtOnceOfANewcomerCostAtMostTwoCalls(t *testing.T) {
	t.Parallel()
	b := setupAsking(t)
	org, _, invited, invitation := people(t, b)
	_, err := b.clerk.Accept(invitation, invited)
	require.NoError(t, err)
	token := b.token(t, invited)
	var at sync.WaitGroup
	statuses := make([]int, 50)
	for i := range statuses {
		at.Go(func() { statuses[i] = b.may(t, token, org, "reports:read") })
	}
	at.Wait()
	for _, status := range statuses {
		require.Equal(t, http.StatusOK, status)
	}
	require.LessOrEqual(t, b.faults.Calls()[lookUpRoute], 2)
}

// TestARemovedMemberIsNotLetInByALookUp, nor by an old token.
func TestARemovedMemberIsNotLetInByALookUp(t *testing.T) {
	t.Parallel()
	b := setupAsking(t)
	org, _, invited, invitation := people(t, b)
	_, err := b.clerk.Accept(invitation, invited)
	require.NoError(t, err)
	b.send(t, b.clerk.Drain()...)
	token := b.token(t, invited)
	require.Equal(t, http.StatusOK, b.may(t, token, org, "reports:read"))

	require.NoError(t, b.clerk.RemoveMember(org, invited))
	b.send(t, b.clerk.Drain()...)
	require.Equal(t, http.StatusNotFound, b.may(t, token, org, "reports:read"))
	require.Equal(t, 1, b.faults.Calls()[lookUpRoute])
	require.Equal(t, http.StatusNotFound, b.may(t, token, org, "reports:read"))
	require.Equal(t, 1, b.faults.Calls()[lookUpRoute], "the answer is remembered")

	_, err = b.clerk.AddMember(org, invited, clerksim.RoleMember)
	require.NoError(t, err)
	b.send(t, b.clerk.Drain()...)
	require.Equal(t, http.StatusOK, b.may(t, token, org, "reports:read"), "a webhook overrides what is remembered")
}

// TestWithClerkAwayStrangersAreRefusedSoonAndMembersGoOn: whether it hangs or says 503.
func TestWithClerkAwayStrangersAreRefusedSoonAndMembersGoOn(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*clerksim.APIFaults){
		"hanging": func(f *clerksim.APIFaults) { f.Hang(clerksim.Lookups) },
		"503":     func(f *clerksim.APIFaults) { f.Fail(http.StatusServiceUnavailable, clerksim.Lookups) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupAsking(t)
			org, admin, stranger, _ := people(t, b)
			b.send(t, b.clerk.Drain()...)
			adminToken, strangerToken := b.token(t, admin), b.token(t, stranger)
			require.Equal(t, http.StatusOK, b.may(t, adminToken, org, "billing:manage"))
			away(b.faults)
			began := time.Now()
			var refused int
			var waiting sync.WaitGroup
			waiting.Go(func() { refused = b.may(t, strangerToken, org, "reports:read") })
			require.Equal(t, http.StatusOK, b.may(t, adminToken, org, "billing:manage"))
			waiting.Wait()
			require.Equal(t, http.StatusNotFound, refused)
			require.Less(t, time.Since(began), 5*time.Second, "1.5 s on a machine that has nothing else to do")
		})
	}
}

// TestTheInstanceIsLearntFromClerk, so that the dashboard's examples are set aside without a setting.
func TestTheInstanceIsLearntFromClerk(t *testing.T) {
	t.Parallel()
	b := setupAsking(t, func(_ *bundle, cfg *config.Config) { cfg.InstanceID = "" })
	foreign, err := clerksim.New(clerksim.Config{Seed: 7, InstanceID: "ins_examples"})
	require.NoError(t, err)
	_, err = foreign.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	messages := foreign.Drain()
	b.send(t, messages...)
	require.Equal(t, "quarantined", b.state(t, messages[0].ID))
	require.Contains(t, b.log.String(), "instance learnt from Clerk")
}

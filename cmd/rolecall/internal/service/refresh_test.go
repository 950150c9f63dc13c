package service_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// setupAsking starts a service that may ask Clerk, and never sweeps.
func setupAsking(t testing.TB, changes ...func(*servicetest.Bundle, *config.Config)) *servicetest.Bundle {
	t.Helper()
	b := servicetest.Start(t, pgtest.URL(t), nil, config.Parts{Web: true, Workers: true}, append([]func(*servicetest.Bundle, *config.Config){servicetest.AsksClerk}, changes...)...)
	b.Open(t, b.Config.DatabaseURL)
	return b
}

// lookUpRoute is the route of Clerk for the look-up of one member.
const lookUpRoute = "GET /organizations/{id}/memberships"

// people makes an organization with an admin, and an invited user. No webhook is sent.
func people(t testing.TB, b *servicetest.Bundle) (org, admin, invited, invitation string) {
	t.Helper()
	a, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	o, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: a.ID})
	require.NoError(t, err)
	u, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	i, err := b.Clerk.Invite(o.ID, a.ID, *u.Identifier(), clerksim.RoleMember)
	require.NoError(t, err)
	return o.ID, a.ID, u.ID, i.ID
}

// TestLookUp_AdmitsANewMemberAtTheFirstRequest, before any webhook of the organization or the
// member.
func TestLookUp_AdmitsANewMemberAtTheFirstRequest(t *testing.T) {
	t.Parallel()
	b := setupAsking(t)
	org, _, invited, invitation := people(t, b)
	_, err := b.Clerk.Accept(invitation, invited)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, b.May(t, b.Token(t, invited), org, "reports:read"))
	require.Equal(t, http.StatusForbidden, b.May(t, b.Token(t, invited), org, "billing:manage"))
	require.Equal(t, 1, b.Faults.Calls()[lookUpRoute])

	b.Send(t, b.Clerk.Drain()...)
	require.Equal(t, http.StatusOK, b.May(t, b.Token(t, invited), org, "reports:read"))
	var joined int
	require.NoError(t, b.DB.QueryRow(t.Context(),
		"SELECT count(*) FROM rolecall.audit_log WHERE action = 'member.joined' AND target = $1", invited).Scan(&joined))
	require.Equal(t, 1, joined, "the webhook adds no entry")
}

func TestLookUp_FiftyRequestsAtOnceCostAtMostTwoCalls(t *testing.T) {
	t.Parallel()
	b := setupAsking(t)
	org, _, invited, invitation := people(t, b)
	_, err := b.Clerk.Accept(invitation, invited)
	require.NoError(t, err)
	token := b.Token(t, invited)
	var at sync.WaitGroup
	statuses := make([]int, 50)
	for i := range statuses {
		at.Go(func() { statuses[i] = b.May(t, token, org, "reports:read") })
	}
	at.Wait()
	for _, status := range statuses {
		require.Equal(t, http.StatusOK, status)
	}
	require.LessOrEqual(t, b.Faults.Calls()[lookUpRoute], 2)
}

// TestLookUp_DoesNotAdmitARemovedMember, nor by an old token.
func TestLookUp_DoesNotAdmitARemovedMember(t *testing.T) {
	t.Parallel()
	b := setupAsking(t)
	org, _, invited, invitation := people(t, b)
	_, err := b.Clerk.Accept(invitation, invited)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	token := b.Token(t, invited)
	require.Equal(t, http.StatusOK, b.May(t, token, org, "reports:read"))

	require.NoError(t, b.Clerk.RemoveMember(org, invited))
	b.Send(t, b.Clerk.Drain()...)
	require.Equal(t, http.StatusNotFound, b.May(t, token, org, "reports:read"))
	require.Equal(t, 1, b.Faults.Calls()[lookUpRoute])
	require.Equal(t, http.StatusNotFound, b.May(t, token, org, "reports:read"))
	require.Equal(t, 1, b.Faults.Calls()[lookUpRoute], "the answer is remembered")

	_, err = b.Clerk.AddMember(org, invited, clerksim.RoleMember)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	require.Equal(t, http.StatusOK, b.May(t, token, org, "reports:read"), "a webhook overrides the remembered answer")
}

// TestLookUp_WithClerkAwayRefusesStrangersSoon, and answers members, if Clerk hangs or answers 503.
func TestLookUp_WithClerkAwayRefusesStrangersSoon(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*clerksim.APIFaults){
		"hanging": func(f *clerksim.APIFaults) { f.Hang(clerksim.Lookups) },
		"503":     func(f *clerksim.APIFaults) { f.Fail(http.StatusServiceUnavailable, clerksim.Lookups) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupAsking(t, servicetest.HurriedLookUps)
			org, admin, stranger, _ := people(t, b)
			b.Send(t, b.Clerk.Drain()...)
			adminToken, strangerToken := b.Token(t, admin), b.Token(t, stranger)
			require.Equal(t, http.StatusOK, b.May(t, adminToken, org, "billing:manage"))
			away(b.Faults)
			began := time.Now()
			var refused int
			var waiting sync.WaitGroup
			waiting.Go(func() { refused = b.May(t, strangerToken, org, "reports:read") })
			require.Equal(t, http.StatusOK, b.May(t, adminToken, org, "billing:manage"))
			waiting.Wait()
			require.Equal(t, http.StatusNotFound, refused)
			require.Less(t, time.Since(began), 5*time.Second, "1.5 s on an idle machine")
		})
	}
}

// TestInstance_IsLearntFromClerk, so that the dashboard's examples are quarantined without a
// setting.
func TestInstance_IsLearntFromClerk(t *testing.T) {
	t.Parallel()
	b := setupAsking(t, func(_ *servicetest.Bundle, cfg *config.Config) { cfg.InstanceID = "" })
	foreign, err := clerksim.New(clerksim.Config{Seed: 7, InstanceID: "ins_examples"})
	require.NoError(t, err)
	_, err = foreign.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	messages := foreign.Drain()
	b.Send(t, messages...)
	require.Equal(t, "quarantined", b.State(t, messages[0].ID))
	require.Contains(t, b.Log.String(), "instance learnt from Clerk")
}

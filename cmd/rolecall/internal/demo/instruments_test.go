package demo

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/cleanup"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// withInstruments starts a service beside a simulated Clerk, and instruments for it.
func withInstruments(t *testing.T) (*servicetest.Bundle, *instruments, *feed) {
	t.Helper()
	url, f := pgtest.URL(t), &feed{}
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, servicetest.AsksClerk, func(b *servicetest.Bundle, cfg *config.Config) {
		cfg.MaxRemovalRatio, b.Extras.Web = 1, f.watch
	})
	b.Open(t, url)
	var stack cleanup.Stack
	i, err := newInstruments(t.Context(), b.Config, &stack, b.Logger)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stack.Run(t.Context())) })
	return b, i, f
}

func named(t *testing.T, b *servicetest.Bundle, first, last string) string {
	t.Helper()
	user, err := b.Clerk.CreateUser(clerksim.NewUser{FirstName: first, LastName: last})
	require.NoError(t, err)
	return user.ID
}

// TestLedger_SaysWhatWebhooksChanged, in words and with names.
func TestLedger_SaysWhatWebhooksChanged(t *testing.T) {
	t.Parallel()
	b, i, _ := withInstruments(t)
	ada, ben := named(t, b, "Ada", "Kern"), named(t, b, "Ben", "Okoro")
	northwind, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{Name: "Northwind", CreatedBy: ada})
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	_, err = b.Clerk.AddMember(northwind.ID, ben, clerksim.RoleMember)
	require.NoError(t, err)
	_, err = b.Clerk.SetRole(northwind.ID, ben, clerksim.RoleAdmin)
	require.NoError(t, err)
	require.NoError(t, b.Clerk.RemoveMember(northwind.ID, ben))
	messages := b.Clerk.Drain()
	ids := []string{"msg_that_never_came"}
	for _, m := range messages {
		b.Send(t, m)
		ids = append(ids, m.ID)
	}
	applied, err := i.Ledger(t.Context(), ids)
	require.NoError(t, err)
	said := []string{}
	for _, a := range applied {
		require.Contains(t, []string{"applied", "superseded"}, a.State)
		require.False(t, a.AppliedAt.Before(a.ReceivedAt))
		said = append(said, a.Changes...)
	}
	require.Equal(t, []string{
		"Ben Okoro joined Northwind as org:member",
		"Ben Okoro is now org:admin in Northwind, and was org:member",
		"Ben Okoro is no longer in Northwind",
	}, said)
}

// TestLedger_SaysWhatCommandsChanged, although Clerk's answers were recorded before the webhooks
// came. What was changed at Clerk between them, no command changed.
func TestLedger_SaysWhatCommandsChanged(t *testing.T) {
	t.Parallel()
	b, i, _ := withInstruments(t)
	ada, ben := named(t, b, "Ada", "Kern"), named(t, b, "Ben", "Okoro")
	northwind, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{Name: "Northwind", CreatedBy: ada})
	require.NoError(t, err)
	_, err = b.Clerk.AddMember(northwind.ID, ben, clerksim.RoleMember)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)

	var ids, said []string
	sent := func() {
		t.Helper()
		for _, m := range b.Clerk.Drain() {
			b.Send(t, m)
			ids = append(ids, m.ID)
		}
	}
	path := "/v1/workspaces/" + northwind.ID
	command := func(method, rest, body string) {
		t.Helper()
		status, answer := b.Say(t, b.Token(t, ada), method, path+rest, body)
		require.Less(t, status, 300, answer)
		sent()
	}
	command(http.MethodPatch, "", `{"name":"Northwind Sales"}`)
	command(http.MethodPost, "/invitations", `{"email":"eve@example.test","role":"org:member"}`)
	command(http.MethodDelete, "/members/"+ben, "")
	_, err = b.Clerk.AddMember(northwind.ID, ben, clerksim.RoleMember)
	require.NoError(t, err)
	sent()
	command(http.MethodPatch, "/members/"+ben, `{"role":"org:admin"}`)
	applied, err := i.Ledger(t.Context(), ids)
	require.NoError(t, err)
	for _, a := range applied {
		said = append(said, a.Changes...)
	}
	require.Len(t, applied, 5)
	require.Equal(t, []string{
		"Northwind is now called Northwind Sales",
		"eve@example.test was invited to Northwind Sales as org:member",
		"Ada Kern removed Ben Okoro from Northwind Sales",
		"Ben Okoro joined Northwind Sales as org:member",
		"Ben Okoro is now org:admin in Northwind Sales, and was org:member",
	}, said)
}

// TestSweep_RepairsWhatWebhooksDidNotBring, also what changed a moment ago.
func TestSweep_RepairsWhatWebhooksDidNotBring(t *testing.T) {
	t.Parallel()
	b, i, _ := withInstruments(t)
	workspace, admin, member, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	_, err := i.Sweep(t.Context()) // roles, and what else no webhook brings
	require.NoError(t, err)
	said, err := i.Sweep(t.Context())
	require.NoError(t, err)
	require.Regexp(t, `^Compared \d+ objects with Clerk: nothing differed\.$`, said)

	_, err = b.Clerk.SetRole(workspace, member, clerksim.RoleAdmin)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	require.NoError(t, b.Clerk.RemoveMember(workspace, member))
	b.Clerk.Drain() // lost
	require.Equal(t, 200, b.May(t, b.Token(t, member), workspace, "org:sys_memberships:read"))
	said, err = i.Sweep(t.Context())
	require.NoError(t, err)
	require.Regexp(t, `^Compared \d+ objects with Clerk, and repaired what differed: 1 membership removed\. .+ is no longer in .+\.$`, said)
	require.Equal(t, 404, b.May(t, b.Token(t, member), workspace, "org:sys_memberships:read"))
	require.Equal(t, 200, b.May(t, b.Token(t, admin), workspace, "org:sys_memberships:read"))
}

// TestSweep_SaysThatClerkIsDown, and repairs as soon as Clerk is back.
func TestSweep_SaysThatClerkIsDown(t *testing.T) {
	t.Parallel()
	b, i, _ := withInstruments(t)
	servicetest.Team(t, b)
	lift := b.Faults.Down()
	said, err := i.Sweep(t.Context())
	require.NoError(t, err)
	require.Contains(t, said, "Clerk doesn't answer")
	lift()
	said, err = i.Sweep(t.Context())
	require.NoError(t, err)
	require.Contains(t, said, "2 memberships added")
}

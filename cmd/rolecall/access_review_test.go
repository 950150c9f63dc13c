package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/internal/clerksim"
)

type reviewPage struct {
	support.ReviewTerms

	Memberships []support.ReviewedMember `json:"memberships"`
	Next        *string                  `json:"next"`
}

// of returns a user's membership. Clerk makes several within a millisecond, in no order.
func (p reviewPage) of(userID string) support.ReviewedMember {
	i := slices.IndexFunc(p.Memberships, func(m support.ReviewedMember) bool { return m.UserID == userID })
	return p.Memberships[i]
}

// past waits until all that the audit log tells is past, and returns when the last of it was:
// Clerk dates an event some milliseconds after its change, and a review leaves out what is to come.
func (d desk) past(t *testing.T) (last time.Time) {
	t.Helper()
	require.Eventually(t, func() bool {
		err := d.DB.QueryRow(t.Context(), "SELECT max(at) FROM rolecall.audit_log").Scan(&last)
		return err == nil && last.Before(time.Now())
	}, 20*time.Second, time.Millisecond)
	return last
}

// TestAccessReview answers who had access, now and then, and says what it can claim.
//
//nolint:paralleltest // the environment belongs to the process
func TestAccessReview(t *testing.T) {
	d := newDesk(t)
	_, _, errs := runCommand(t, d.env, "access-review", "--csv")
	require.Contains(t, strings.Join(strings.Fields(errs), " "), "no sweep has gone through")
	code, _, errs := runCommand(t, d.env, "access-review", "--at", time.Now().Add(time.Hour).Format(time.RFC3339))
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "is in the future")

	var now reviewPage
	d.read(t, &now, "access-review", "--workspace", "Acme")
	require.False(t, now.Complete)
	require.Len(t, now.Memberships, 2)
	ada, ben := now.of(d.ada), now.of(d.ben)
	require.Equal(t, []string{d.ada, clerksim.RoleAdmin, "Acme", "ada@acme.test"}, []string{ada.UserID, ada.Role, ada.WorkspaceName, *ada.Identifier})
	require.Equal(t, []string{d.ben, clerksim.RoleMember}, []string{ben.UserID, ben.Role})
	require.Equal(t, d.ada, *ben.InvitedBy)
	require.Nil(t, ada.InvitedBy)

	before := d.past(t)
	_, err := d.Clerk.BanUser(d.ben)
	require.NoError(t, err)
	_, err = d.Clerk.SetRole(d.acme, d.ben, clerksim.RoleAdmin)
	require.NoError(t, err)
	require.NoError(t, d.Clerk.DeleteOrganization(d.beta))
	d.Send(t, d.Clerk.Drain()...)
	d.past(t)
	now = reviewPage{}
	d.read(t, &now, "access-review")
	require.Len(t, now.Memberships, 2, "deleted workspaces aren't listed")
	require.Equal(t, []string{clerksim.RoleAdmin, "banned"}, []string{now.of(d.ben).Role, now.of(d.ben).Status})
	var then reviewPage
	d.read(t, &then, "access-review", "--at", before.Format(time.RFC3339Nano))
	require.Len(t, then.Memberships, 4)
	records := d.records(t, "access-review", "--at", before.Format(time.RFC3339Nano))
	require.Len(t, records, 4)
	for i, r := range records {
		require.Equal(t, then.Memberships[i].UserID, r["user_id"])
		require.Empty(t, r["status"])
	}
	admins := d.records(t, "access-review", "--at", before.Format(time.RFC3339Nano), "--role", clerksim.RoleAdmin)
	require.NotEmpty(t, admins)
	require.Less(t, len(admins), len(records))
	for _, r := range admins {
		require.Equal(t, clerksim.RoleAdmin, r["role"])
	}
	for _, as := range []string{"admin", "org:admin"} {
		require.Equal(t, admins, d.records(t, "access-review", "--at", before.Format(time.RFC3339Nano), "--role", as), "as policy and API take it")
	}
	require.NotContains(t, d.printed(t, "access-review", "--workspace", "Acme"), "WORKSPACE")
	text, err := json.Marshal(then.ReviewTerms)
	require.NoError(t, err)
	require.Contains(t, string(text), `"log_complete_since":null`)
	require.Contains(t, d.printed(t, "access-review"), "Access as of")
}

// TestAccessReview_RoleThatNobodyHas: a mistyped role isn't reviewed as one that nobody has.
//
//nolint:paralleltest // the environment belongs to the process
func TestAccessReview_RoleThatNobodyHas(t *testing.T) {
	d := newDesk(t)
	for _, sql := range []string{
		`INSERT INTO rolecall.roles (id, key, keys, deleted_at) VALUES ('role_9', 'org:boss', '{"org:chief": [1], "org:boss": [2]}', now())`,
		`INSERT INTO rolecall.grants VALUES ('org:billing', 'billing:manage') ON CONFLICT DO NOTHING`,
	} {
		_, err := d.DB.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	for _, as := range [][]string{{}, {"--csv"}, {"--json"}} {
		for _, mistyped := range []string{"org:amdin", "Admin", "org:admin ", "member:org", ""} {
			code, out, errs := runCommand(t, d.env, append([]string{"access-review", "--role", mistyped}, as...)...)
			require.Equal(t, exitUsage, code, "%q %v: %s", mistyped, as, errs)
			require.Empty(t, out)
		}
		for _, known := range []string{"org:boss", "chief", "billing"} { // deleted, from before, and of the policy
			code, out, errs := runCommand(t, d.env, append([]string{"access-review", "--role", known}, as...)...)
			require.Equal(t, exitOK, code, "%s %v: %s", known, as, errs)
			require.NotContains(t, out, "org_")
		}
	}
	_, _, errs := runCommand(t, d.env, "access-review", "--role", "org:amdin")
	require.Contains(t, strings.Join(strings.Fields(errs), " "), `no role has the key "org:amdin"`)
	for _, known := range []string{"org:admin", "org:member", "org:boss", "org:chief", "org:billing"} {
		require.Contains(t, errs, known)
	}
	var none reviewPage
	d.read(t, &none, "access-review", "--role", "boss")
	require.NotNil(t, none.Memberships)
	require.Empty(t, none.Memberships)
	require.Contains(t, d.printed(t, "access-review", "--role", "boss"), "no memberships")
}

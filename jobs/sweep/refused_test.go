package sweep

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// refusalError is a refusal of Clerk's, or of a proxy.
type refusalError clerksync.Explanation

func (r refusalError) Error() string                  { return fmt.Sprintf("status %d %s", r.Status, r.Code) }
func (r refusalError) Explain() clerksync.Explanation { return clerksync.Explanation(r) }

// domainsOff is what Clerk answers where organizations have no domains.
func domainsOff() refusalError {
	return refusalError{http.StatusForbidden, "organization_domains_not_enabled", "trace_1"}
}

// furnished returns a directory with members. Of each other kind, it has as many objects as others
// says.
func furnished(members, others int) *mirrortest.Directory {
	d := mirrortest.Populated(members)
	for n := range others {
		d.Set(clerksync.ResourcePermission, map[string]any{"id": nth("perm", n), "key": "org:a:" + nth("p", n), "created_at": mirrortest.T0, "updated_at": mirrortest.T0})
		d.Set(clerksync.ResourceRole, map[string]any{
			"id": nth("role", n), "key": "org:" + nth("r", n), "created_at": mirrortest.T0, "updated_at": mirrortest.T0,
			"permissions": []any{map[string]any{"id": nth("perm", n), "key": "org:a:" + nth("p", n), "created_at": mirrortest.T0, "updated_at": mirrortest.T0}},
		})
		d.Set(clerksync.ResourceInvitation, map[string]any{
			"id": nth("orginv", n), "organization_id": "org_1", "email_address": "kim@callmine.test", "role": "org:member",
			"status": "pending", "created_at": mirrortest.T0, "updated_at": mirrortest.T0,
		})
		d.Set(clerksync.ResourceDomain, map[string]any{
			"id": nth("orgdmn", n), "organization_id": "org_1", "name": nth("a", n) + ".test", "created_at": mirrortest.T0, "updated_at": mirrortest.T0,
		})
	}
	return d
}

func nth(prefix string, n int) string { return fmt.Sprintf("%s_%04d", prefix, n) }

// dispensable returns the kinds without which a sweep still knows all members, and the tables of
// these kinds.
func dispensable() map[clerksync.Resource]string {
	return map[clerksync.Resource]string{
		clerksync.ResourcePermission: "permissions", clerksync.ResourceRole: "roles", clerksync.ResourceInvitation: "invitations",
		clerksync.ResourceDomain: "domains",
	}
}

// TestRefused_DispensableListIsLeftOut: the sweep goes through, repairs the other kinds, removes
// nothing of this kind, and says that it didn't compare it. Once Clerk shows the kind again, it is
// compared again.
func TestRefused_DispensableListIsLeftOut(t *testing.T) {
	t.Parallel()
	for _, answer := range []refusalError{
		{http.StatusPaymentRequired, "plan_too_small", ""},
		{http.StatusNotFound, "resource_not_found", "trace_2"},
		{http.StatusGone, "feature_removed", ""},
		{http.StatusUnprocessableEntity, "form_param_unknown", ""},
		{http.StatusForbidden, "", ""},
	} {
		t.Run(answer.Error(), func(t *testing.T) {
			t.Parallel()
			testARefusedList(t, answer, clerksync.ResourceDomain, 0, 3)
		})
	}
	for kind := range dispensable() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			testARefusedList(t, domainsOff(), kind, 0, 3)
		})
	}
	t.Run("in the middle", func(t *testing.T) {
		t.Parallel()
		testARefusedList(t, domainsOff(), clerksync.ResourceInvitation, 1, 510)
	})
}

// testARefusedList refuses the list of a kind from an offset on. The parameter others is the number
// of objects of each such kind.
func testARefusedList(t *testing.T, answer refusalError, kind clerksync.Resource, from, others int) {
	t.Helper()
	b, d := setup(t), furnished(3, others)
	table := dispensable()[kind]
	b.sweep(t, d, Options{})
	d.Refuse(kind, from, answer)
	d.Remove(clerksync.ResourceMembership, "orgmem_00001") // a removal that no webhook reported
	d.Remove(kind, d.Objects[kind][1]["id"].(string), d.Objects[kind][others-1]["id"].(string))
	d.Finds = nil

	report := b.sweep(t, d, Options{})
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, []Refused{{Explanation: answer.Explain(), Resource: kind}}, report.Refused)
	require.Equal(t, []string{"orgmem_00001"}, slices.Compact(d.Finds), "nothing of the kind is looked up")
	require.Len(t, b.Roles(t), 2)
	require.Equal(t, others, b.Alive(t, table), "nothing of the kind is removed")
	require.Equal(t, 2, b.Count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'clean'"))
	require.Contains(t, b.Logs.String(), `"resource":"`+string(kind)+`"`)
	require.Contains(t, b.Logs.String(), `"code":"`+answer.Code+`"`)

	d.Listing = nil
	report = b.sweep(t, d, Options{})
	require.Empty(t, report.Refused)
	require.Equal(t, 2, report.Removed)
	require.Equal(t, others-2, b.Alive(t, table))
}

// TestRefused_NeededListStopsTheSweep, and the report doesn't blame the key.
func TestRefused_NeededListStopsTheSweep(t *testing.T) {
	t.Parallel()
	for _, kind := range []clerksync.Resource{clerksync.ResourceOrganization, clerksync.ResourceUser, clerksync.ResourceMembership} {
		for _, opts := range []Options{{}, {DryRun: true}, {OrganizationID: "org_1"}} {
			t.Run(fmt.Sprintf("%s %v", kind, opts), func(t *testing.T) {
				t.Parallel()
				b, d := setup(t), furnished(3, 2)
				b.sweep(t, d, Options{})
				d.Remove(clerksync.ResourceMembership, "orgmem_00001")
				d.Refuse(kind, 0, refusalError{http.StatusForbidden, "organization_not_enabled_in_instance", "trace_9"})
				report := b.sweep(t, d, opts)
				require.Equal(t, ReasonListRefused, report.Reason)
				require.Equal(t, fmt.Sprintf("the list of %ss is refused: status 403, organization_not_enabled_in_instance (trace trace_9)", kind), report.Detail)
				require.Len(t, b.Roles(t), 3)

				d.Refuse(kind, 0, refusalError{http.StatusForbidden, "", ""})
				report = b.sweep(t, d, opts)
				require.Equal(t, ReasonListingIncomplete, report.Reason, "a proxy may change its mind")
				require.Contains(t, report.Detail, "403")
			})
		}
	}
}

func TestRefused_Only401IsAboutTheKey(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(1)
	d.Refuse(clerksync.ResourceDomain, 0, errors.Join(clerksync.ErrUnauthorized, refusalError{http.StatusUnauthorized, "clerk_key_invalid", "trace_3"}))
	report := b.sweep(t, d, Options{})
	require.Equal(t, ReasonUnauthorized, report.Reason)
	require.Contains(t, report.Detail, "CLERK_SECRET_KEY")
	require.Contains(t, report.Detail, "clerk_key_invalid trace_3")
}

// TestRefused_InstanceStopsTheSweep: the key could be of another instance. The report says that the
// instance was refused.
func TestRefused_InstanceStopsTheSweep(t *testing.T) {
	t.Parallel()
	for want, answer := range map[GuardReason]error{
		ReasonListRefused:       refusalError{http.StatusForbidden, "authorization_invalid", "trace_4"},
		ReasonListingIncomplete: refusalError{http.StatusForbidden, "", ""},
	} {
		b, d := setup(t), mirrortest.Populated(1)
		d.Err = answer
		report := b.sweep(t, d, Options{})
		require.Equal(t, want, report.Reason)
		require.Contains(t, report.Detail, "GET /instance is refused: status 403")
		require.Empty(t, d.Pages)
		require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'aborted'"))
	}
}

// TestRefused_LookUpStopsNoOtherRepair: an object that can't be looked up stays, and a sweep that
// doesn't know all members says so.
func TestRefused_LookUpStopsNoOtherRepair(t *testing.T) {
	t.Parallel()
	for kind, id := range map[clerksync.Resource]string{
		clerksync.ResourceOrganization: "org_2", clerksync.ResourceUser: "user_00001", clerksync.ResourceMembership: "orgmem_00001",
		clerksync.ResourceDomain: "orgdmn_0001", clerksync.ResourceRole: "role_0001",
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			b, d := setup(t), furnished(3, 3)
			d.Set(clerksync.ResourceOrganization, mirrortest.Organization("org_2"))
			b.sweep(t, d, Options{})
			d.Remove(kind, id)
			d.Remove(clerksync.ResourceMembership, "orgmem_00002")
			d.Remove(clerksync.ResourceDomain, "orgdmn_0002")
			d.Refusing = func(_ clerksync.Resource, ref clerksync.Reference) error {
				if ref.ID == id {
					return refusalError{http.StatusForbidden, "resource_forbidden", "trace_5"}
				}
				return nil
			}
			report := b.sweep(t, d, Options{})
			require.Equal(t, needed(kind), report.Aborted)
			if needed(kind) {
				require.Equal(t, ReasonListRefused, report.Reason)
				require.Contains(t, report.Detail, "the look-up of one "+string(kind)+" is refused: status 403, resource_forbidden (trace trace_5)")
			}
			require.Equal(t, []Refused{{
				Explanation: clerksync.Explanation{Status: 403, Code: "resource_forbidden", TraceID: "trace_5"}, Resource: kind, LookUps: 1,
			}}, report.Refused)
			require.Equal(t, 2, report.Removed)
			require.NotContains(t, b.Roles(t), "orgmem_00002")
			require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.live_objects WHERE id = '"+id+"'"), "it stays")
		})
	}
}

func TestRefused_ManyLookUpsOfOneKindEndThem(t *testing.T) {
	t.Parallel()
	b, d := setup(t), furnished(1, 100)
	b.sweep(t, d, Options{})
	d.Objects[clerksync.ResourceDomain] = nil
	d.Finds = nil
	d.Refusing = func(clerksync.Resource, clerksync.Reference) error { return domainsOff() }
	report := b.sweep(t, d, Options{})
	require.False(t, report.Aborted, report.Detail)
	require.Len(t, slices.Compact(d.Finds), maxRefusedLookUps)
	require.Equal(t, 100, report.Refused[0].LookUps)
	require.Equal(t, 100, b.Alive(t, "domains"))
}

// TestRefused_KindKeepsItsTombstones while its list or its look-ups are refused.
func TestRefused_KindKeepsItsTombstones(t *testing.T) {
	t.Parallel()
	b, d := setup(t), furnished(1, 3)
	b.sweep(t, d, Options{})
	b.Exec(t, "UPDATE rolecall.domains SET deleted_at = now(), deleted_cause = 'sweep_1' WHERE id = 'orgdmn_0001'")
	d.Refusing = func(clerksync.Resource, clerksync.Reference) error { return domainsOff() }
	report := b.sweep(t, d, Options{})
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, 2, b.Alive(t, "domains"))
	d.Refuse(clerksync.ResourceDomain, 0, domainsOff())
	d.Refusing = nil
	require.False(t, b.sweep(t, d, Options{}).Aborted)
	require.Equal(t, 2, b.Alive(t, "domains"))
	d.Listing = nil
	b.sweep(t, d, Options{})
	require.Equal(t, 3, b.Alive(t, "domains"))
}

// TestRefused_OutlivesItsProcess: a process dies after Clerk refused a list. The next process still
// knows that the kind wasn't listed.
func TestRefused_OutlivesItsProcess(t *testing.T) {
	t.Parallel()
	b, d := setup(t), furnished(3, 3)
	b.sweep(t, d, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	d.Listing = func(r clerksync.Resource, _ clerksync.PageRequest) error {
		switch r {
		case clerksync.ResourceRole:
			return domainsOff()
		case clerksync.ResourceMembership:
			cancel()
			return ctx.Err()
		default:
			return nil
		}
	}
	_, err := b.sweeper(t, d).Run(ctx, Options{})
	require.ErrorIs(t, err, context.Canceled)
	d.Listing = nil
	d.Objects[clerksync.ResourceRole] = nil
	report := b.sweep(t, d, Options{})
	require.Equal(t, "sweep_2", report.SweepID, "it continues")
	require.Len(t, report.Refused, 1)
	require.Equal(t, 3, b.Alive(t, "roles"))
	require.NotContains(t, d.Finds, "role_0001")
}

// TestRefused_PermissionsComeWithTheirRoles: a fresh installation knows what roles permit.
func TestRefused_PermissionsComeWithTheirRoles(t *testing.T) {
	t.Parallel()
	b, d := setup(t), furnished(1, 1)
	d.Set(clerksync.ResourceMembership, mirrortest.Membership(0, "org:r_0000", 0))
	d.Refuse(clerksync.ResourcePermission, 0, refusalError{http.StatusForbidden, "authorization_invalid", ""})
	require.False(t, b.sweep(t, d, Options{}).Aborted)
	standings, err := store.Standings(t.Context(), b.Pool, store.Pair{UserID: "user_00000", OrganizationID: "org_1"})
	require.NoError(t, err)
	require.Equal(t, []string{"org:a:p_0000"}, standings[0].Permissions)
}

// TestRefused_WithoutRolesTheSnapshotCounts, for a role that no webhook reported and Clerk doesn't
// list.
func TestRefused_WithoutRolesTheSnapshotCounts(t *testing.T) {
	t.Parallel()
	b, d := setup(t), furnished(1, 1)
	member := mirrortest.Membership(0, "org:r_0000", 0)
	member["permissions"] = []string{"org:a:snapshot"}
	d.Set(clerksync.ResourceMembership, member)
	d.Refuse(clerksync.ResourceRole, 0, refusalError{http.StatusForbidden, "authorization_invalid", ""})
	require.False(t, b.sweep(t, d, Options{}).Aborted)
	standings, err := store.Standings(t.Context(), b.Pool, store.Pair{UserID: "user_00000", OrganizationID: "org_1"})
	require.NoError(t, err)
	require.Equal(t, []string{"org:a:snapshot"}, standings[0].Permissions)
}

// TestRefused_SweepOfOneOrganizationContinues, also as a dry run, and counts nothing of the kind as
// gone.
func TestRefused_SweepOfOneOrganizationContinues(t *testing.T) {
	t.Parallel()
	for _, opts := range []Options{{OrganizationID: "org_1"}, {DryRun: true}, {OrganizationID: "org_1", DryRun: true}} {
		b, d := setup(t), furnished(3, 3)
		b.sweep(t, d, Options{})
		d.Remove(clerksync.ResourceMembership, "orgmem_00001")
		d.Objects[clerksync.ResourceDomain] = nil
		d.Refuse(clerksync.ResourceDomain, 0, domainsOff())
		report := b.sweep(t, d, opts)
		require.False(t, report.Aborted, report.Detail)
		require.True(t, slices.ContainsFunc(report.Refused, func(f Refused) bool { return f.Code == "organization_domains_not_enabled" }))
		require.Equal(t, 1, report.Extra)
		require.Equal(t, 3, b.Alive(t, "domains"))
	}
}

package sync_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestDecode_ValueOfAnotherTypeWritesNothing: such a value must not overwrite a known one, as an
// empty one would.
func TestDecode_ValueOfAnotherTypeWritesNothing(t *testing.T) {
	t.Parallel()
	org := decode(t, organizationBody(
		`,"name":{},"slug":7,"image_url":[],"created_by":{},"created_at":"now"`)).Organizations[0]
	for _, r := range org.Registers() {
		require.True(t, r.Version.IsZero(), r.Name)
	}
}

// TestDecode_NullEqualsAbsenceWhereNotNullable tests members that have no null at Clerk.
func TestDecode_NullEqualsAbsenceWhereNotNullable(t *testing.T) {
	t.Parallel()
	org := decode(t, organizationBody(`,"name":null,"created_at":null,"public_metadata":null`)).Organizations[0]
	require.False(t, org.Name.Written())
	require.False(t, org.CreatedAt.Written())
	require.False(t, org.PublicMetadata.Written())
	user := decode(t, `{"type":"user.updated","data":{"id":"user_1","banned":null,"deprovisioned":null}}`).Users[0]
	require.False(t, user.Banned.Written(), "a ban isn't lifted by null")
	require.False(t, user.Deprovisioned.Written())
}

// TestTombstone_LaterOfTwoDeletionsIsKept, in either order.
func TestTombstone_LaterOfTwoDeletionsIsKept(t *testing.T) {
	t.Parallel()
	earlier := membershipMessage("msg_2", "deleted", "orgmem_a1", "org:member", 1, 2)
	later := membershipMessage("msg_1", "deleted", "orgmem_a1", "org:member", 1, 3)
	for _, order := range [][]message{{earlier, later}, {later, earlier}} {
		m := play(t, order...).Memberships["orgmem_a1"]
		require.Equal(t, clerksync.Tombstone{OccurredAt: t0 + 3, DeliveryID: "msg_1", ReceivedAt: t0}, m.Tombstone)
	}
}

// TestUrgency_OfATypeIsItsHighest: a delivery that is taken over gets its urgency from the type
// alone. A new delivery's depends on its data, too.
func TestUrgency_OfATypeIsItsHighest(t *testing.T) {
	t.Parallel()
	for urgency, types := range map[clerksync.Urgency][]clerksync.EventType{
		clerksync.DoesRevoke: {
			clerksync.OrganizationDeleted, clerksync.MembershipDeleted, clerksync.UserUpdated, clerksync.UserDeleted,
			clerksync.RoleDeleted, clerksync.PermissionDeleted,
			clerksync.SessionRevoked, clerksync.SessionEnded, clerksync.SessionRemoved,
		},
		clerksync.MayRevoke: {clerksync.MembershipUpdated, clerksync.RoleUpdated, clerksync.PermissionUpdated},
		clerksync.Ordinary: {
			clerksync.OrganizationCreated, clerksync.OrganizationUpdated, clerksync.MembershipCreated, clerksync.InvitationRevoked,
			clerksync.DomainDeleted, clerksync.RoleCreated, clerksync.PermissionCreated, clerksync.UserCreated, "session.created", "",
		},
	} {
		for _, e := range types {
			require.Equal(t, urgency, e.Urgency(), e)
		}
	}
}

func TestRedact_PrivateMetadataIsNeverKept(t *testing.T) {
	t.Parallel()
	const secret = "opensesame"
	for _, body := range []string{
		`{"type":"user.updated","data":{"id":"user_1","private_metadata":{"pin":"` + secret + `"},"public_metadata":{"tier":"pro"}}}`,
		`{"type":"organization.updated","data":{"id":"org_a","private_metadata" : { "deep": ["` + secret + `"] }}}`,
		`{"type":"organizationInvitation.created","data":{"id":"orginv_1","data":{"private_metadata":{"pin":"` + secret + `"}}}}`,
		`{"type":"organizationMembership.created","data":{"organization":{"id":"org_a","private_metadata":{"pin":"` + secret + `"}}}}`,
		`{"data":{"private_metadata":"` + secret + `"}}`,
		`{"data":{"private_metadata":{"pin":"` + secret,
	} {
		require.NotContains(t, string(receive(body).Body), secret, body)
	}
	const empty = `{"type":"user.updated","data":{"id":"user_1","private_metadata":{}}}`
	require.Equal(t, empty, string(receive(empty).Body), "there is nothing to hide") //nolint:testifylint // byte for byte
}

// TestRedact_BodiesWithoutReplayAreDropped: such bodies carry codes, links and sessions.
func TestRedact_BodiesWithoutReplayAreDropped(t *testing.T) {
	t.Parallel()
	for _, eventType := range []string{"session.created", "session.pending", "email.created", "sms.created", "invitation.created", "waitlistEntry.created", "users.created"} {
		d := receive(`{"type":"` + eventType + `","data":{"id":"x","otp_code":"424242"}}`)
		require.Equal(t, clerksync.StateIgnored, d.State, eventType)
		require.Nil(t, d.Body, eventType)
		require.NotZero(t, d.BodySHA256)
	}
	for _, eventType := range []string{
		"user.created", "organization.created", "organizationMembership.created", "organizationInvitation.created",
		"organizationDomain.created", "role.created", "permission.created",
		"roleSet.updated", "user.future", // the mirror might read them one day
	} {
		require.NotNil(t, receive(`{"type":"`+eventType+`","data":{"id":"x"}}`).Body, eventType)
	}
}

// TestDecide_EndedMembershipIsNone, also if membership alone is asked for.
func TestDecide_EndedMembershipIsNone(t *testing.T) {
	t.Parallel()
	left := clerksync.Standing{UserID: "user_1", OrganizationID: "org_a", EverMember: true, Role: "org:admin"}
	for _, permission := range []string{"", "reports:read"} {
		d := grants.Decide(left, permission)
		require.Equal(t, clerksync.ReasonNotAMember, d.Reason)
		require.False(t, d.Allowed)
		require.Empty(t, d.Role)
	}
}

// TestApplyAll_DeliveriesOfOneInstantGoByID, so that the audit log doesn't depend on the order of
// arrival.
func TestApplyAll_DeliveriesOfOneInstantGoByID(t *testing.T) {
	t.Parallel()
	var deliveries []clerksync.Delivery
	var facts []clerksync.Facts
	for _, id := range []string{"msg_3", "msg_1", "msg_2"} {
		d := message{ID: id, Type: "user.updated", Timestamp: t0, Data: map[string]any{"id": "user_" + id, "banned": true}}.delivery(t)
		f, _, err := clerksync.Decode(d)
		require.NoError(t, err)
		deliveries = append(deliveries, d)
		facts = append(facts, f)
	}
	entries := clerksync.NewMirror().ApplyAll(deliveries, facts).Entries
	var causes []string
	for _, e := range entries {
		causes = append(causes, e.Cause)
	}
	require.Equal(t, []string{"msg_1", "msg_2", "msg_3"}, causes)
}

// TestRole_RemembersEveryKey, whatever the order of its events.
func TestRole_RemembersEveryKey(t *testing.T) {
	t.Parallel()
	role := func(id, key string, at int64) message {
		return message{ID: id, Type: "role.updated", Timestamp: t0 + at, Data: map[string]any{"id": "role_1", "key": key, "updated_at": t0 + at}}
	}
	first, second := role("msg_1", "org:clerk", 1), role("msg_2", "org:accountant", 2)
	for _, order := range [][]message{{first, second}, {second, first}} {
		r := play(t, order...).Roles["role_1"]
		require.Equal(t, "org:accountant", r.Key.Value)
		require.Len(t, r.Keys, 2)
		require.Contains(t, r.Keys, "org:clerk")
		require.Contains(t, r.Keys, "org:accountant")
	}
}

// TestInvitation_SweptStaysGone, although Clerk has no event for a deletion.
func TestInvitation_SweptStaysGone(t *testing.T) {
	t.Parallel()
	swept := clerksync.Invitation{Reference: clerksync.Reference{ID: "orginv_1"}, Tombstone: clerksync.Tombstone{OccurredAt: t0, DeliveryID: "sweep_1"}}
	require.Equal(t, swept.Tombstone, clerksync.Invitation{Reference: clerksync.Reference{ID: "orginv_1"}}.Merge(swept).Tombstone)
	require.Equal(t, swept.Tombstone, swept.Merge(clerksync.Invitation{Reference: clerksync.Reference{ID: "orginv_1"}}).Tombstone)
}

package mirrortest

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// InstanceID is the Clerk instance of all events.
	InstanceID = "ins_1"
	// T0 is when the tests' events begin to occur, in milliseconds since the epoch.
	T0 = int64(1_790_000_000_000)
)

// Event makes a delivery that occurred some milliseconds after [T0].
func Event(t require.TestingT, svixID, eventType string, after int64, data map[string]any) clerksync.Delivery {
	body, err := json.Marshal(map[string]any{
		"object": "event", "type": eventType, "timestamp": T0 + after, "instance_id": InstanceID, "data": data,
	})
	require.NoError(t, err)
	return clerksync.NewDelivery(svixID, body, time.UnixMilli(T0+after), time.Now())
}

// UserNamed is a user.updated that gives a user a first name.
func UserNamed(t require.TestingT, svixID, userID, name string, after int64) clerksync.Delivery {
	return Event(t, svixID, "user.updated", after, map[string]any{"id": userID, "first_name": name, "updated_at": T0 + after})
}

// Joined is an organizationMembership.created.
func Joined(t require.TestingT, svixID, membershipID, organizationID, userID string) clerksync.Delivery {
	return Event(t, svixID, "organizationMembership.created", 1, map[string]any{
		"id": membershipID, "role": "org:member", "created_at": T0, "updated_at": T0,
		"organization":     map[string]any{"id": organizationID, "name": "North"},
		"public_user_data": map[string]any{"user_id": userID, "first_name": "Kim"},
	})
}

// IDs lists the ids of deliveries.
func IDs(deliveries []clerksync.Delivery) []string {
	ids := make([]string, len(deliveries))
	for i, d := range deliveries {
		ids[i] = d.ID
	}
	return ids
}

// States maps the ids of deliveries to their states.
func States(deliveries []clerksync.Delivery) map[string]clerksync.State {
	out := make(map[string]clerksync.State, len(deliveries))
	for _, d := range deliveries {
		out[d.ID] = d.State
	}
	return out
}

// Play returns the mirror that package sync makes of deliveries, without a database. It leaves out
// objects of which only the id is known, because these can't be told from unknown ones.
func Play(t require.TestingT, deliveries ...clerksync.Delivery) clerksync.Mirror {
	mirror := clerksync.NewMirror()
	for _, d := range deliveries {
		facts, known, err := clerksync.Decode(d)
		require.NoError(t, err)
		require.True(t, known)
		mirror.ApplyAll([]clerksync.Delivery{d}, []clerksync.Facts{facts})
	}
	maps.DeleteFunc(mirror.Organizations, func(_ string, o clerksync.Organization) bool { return !o.Known() })
	maps.DeleteFunc(mirror.Users, func(_ string, u clerksync.User) bool { return !u.Known() })
	maps.DeleteFunc(mirror.Memberships, func(_ string, m clerksync.Membership) bool { return !m.Known() })
	return mirror
}

// JSON writes a value as JSON.
func JSON(t require.TestingT, v any) json.RawMessage {
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return raw
}

package sync_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	clerksync "github.com/callmine/rolecall/sync"
)

// message is one webhook message of a history, before it is written as JSON.
type message struct {
	ID        string
	Type      string
	Timestamp int64
	Data      map[string]any
}

// t0 is when the histories begin; the receiving clock is of no consequence.
const t0 = int64(1_790_000_000_000)

func (m message) delivery(t require.TestingT) clerksync.Delivery {
	body, err := json.Marshal(map[string]any{
		"object": "event", "type": m.Type, "timestamp": m.Timestamp, "instance_id": "ins_1", "data": m.Data,
	})
	require.NoError(t, err)
	at := time.UnixMilli(t0)
	return clerksync.NewDelivery(m.ID, body, at, at)
}

// pairs of the histories' memberships: a member who rejoins has a new id for the same pair.
var pairs = map[string][2]string{
	"orgmem_a1": {"org_a", "user_1"}, "orgmem_a1again": {"org_a", "user_1"},
	"orgmem_a2": {"org_a", "user_2"}, "orgmem_b1": {"org_b", "user_1"},
}

// genMessage draws one message. Instants come from a handful of milliseconds, so that every tie occurs.
func genMessage(n int) *rapid.Generator[message] {
	return rapid.Custom(func(t *rapid.T) message {
		object := rapid.SampledFrom([]string{"organization", "organizationMembership", "user"}).Draw(t, "object")
		m := message{
			ID:        fmt.Sprintf("msg_%02d", n),
			Type:      object + rapid.SampledFrom([]string{".created", ".updated", ".updated", ".deleted"}).Draw(t, "what"),
			Timestamp: t0 + rapid.Int64Range(0, 3).Draw(t, "occurred"),
		}
		switch object {
		case "organization":
			m.Data = genOrganization(t, rapid.SampledFrom([]string{"org_a", "org_b"}).Draw(t, "id"))
		case "user":
			m.Data = genUser(t, rapid.SampledFrom([]string{"user_1", "user_2"}).Draw(t, "id"))
		default:
			m.Data = genMembership(t, rapid.SampledFrom(slices.Sorted(maps.Keys(pairs))).Draw(t, "id"))
		}
		if m.Type == "organization.deleted" || m.Type == "user.deleted" {
			m.Data = map[string]any{"object": object, "id": m.Data["id"], "deleted": true}
		}
		return m
	})
}

// maybe sets a member to one of the values, or leaves it out.
func maybe(t *rapid.T, data map[string]any, name string, values ...any) {
	if i := rapid.IntRange(-1, len(values)-1).Draw(t, name); i >= 0 {
		data[name] = values[i]
	}
}

func genOrganization(t *rapid.T, id string) map[string]any {
	data := map[string]any{
		"id": id, "updated_at": t0 + rapid.Int64Range(0, 3).Draw(t, "updated"),
		"name": rapid.SampledFrom([]string{"North", "South"}).Draw(t, "name"), "future_field": []int{1},
	}
	maybe(t, data, "slug", nil, "", "north", "south")
	maybe(t, data, "created_by", "user_1")
	maybe(t, data, "image_url", nil, "https://img.test/1")
	maybe(t, data, "created_at", t0)
	maybe(t, data, "public_metadata", map[string]any{}, map[string]any{"tier": "pro"})
	return data
}

func genUser(t *rapid.T, id string) map[string]any {
	data := map[string]any{"id": id, "updated_at": t0 + rapid.Int64Range(0, 3).Draw(t, "updated")}
	maybe(t, data, "first_name", nil, "", "Kim")
	maybe(t, data, "username", nil, "kim", "kimmy")
	maybe(t, data, "banned", true, false)
	maybe(t, data, "deprovisioned", true, false)
	return data
}

func genMembership(t *rapid.T, id string) map[string]any {
	data := map[string]any{
		"id": id, "updated_at": t0 + rapid.Int64Range(0, 3).Draw(t, "updated"), "created_at": t0,
		"role":         rapid.SampledFrom([]string{"org:admin", "org:member", "basic_member"}).Draw(t, "role"),
		"organization": genOrganization(t, pairs[id][0]),
	}
	user := genUser(t, pairs[id][1])
	user["user_id"] = user["id"]
	delete(user, "id")
	delete(user, "updated_at")
	delete(user, "username")
	maybe(t, user, "identifier", nil, "kim@callmine.test")
	data["public_user_data"] = user
	maybe(t, data, "permissions", []any{}, []any{"org:invoices:read"})
	maybe(t, data, "role_name", nil, "Admin")
	return data
}

// genHistory draws up to 12 messages.
func genHistory(t *rapid.T) []message {
	history := make([]message, rapid.IntRange(1, 12).Draw(t, "length"))
	for n := range history {
		history[n] = genMessage(n).Draw(t, "message")
	}
	return history
}

// shuffled draws an order of the history in which each message stands at least once.
func shuffled(t *rapid.T, history []message) []message {
	repeats := rapid.SliceOfN(rapid.SampledFrom(history), 0, 6).Draw(t, "repeats")
	return rapid.Permutation(slices.Concat(history, repeats)).Draw(t, "order")
}

// play applies messages in the given order to an empty mirror.
func play(t require.TestingT, messages ...message) clerksync.Mirror {
	mirror := clerksync.NewMirror()
	for _, m := range messages {
		apply(t, mirror, m)
	}
	return mirror
}

func apply(t require.TestingT, mirror clerksync.Mirror, m message) (state clerksync.State, changed clerksync.Mirror) {
	facts, known, err := clerksync.Decode(m.delivery(t))
	require.NoError(t, err)
	require.True(t, known)
	changed = clerksync.NewMirror()
	return mirror.Apply(facts, changed), changed
}

// oracle says what each object must look like after a history, from the JSON alone and by brute force: of all
// messages that carry a member of an object, in the order of the merge rule, the last one counts.
func oracle(history []message) map[string]map[string]any {
	type write struct {
		object string
		data   map[string]any
		order  []any
	}
	var writes []write
	dead := map[string]bool{}
	for _, m := range history {
		kind := map[string]int{"created": 1, "updated": 2, "deleted": 3}[m.Type[strings.Index(m.Type, ".")+1:]]
		updated, ok := m.Data["updated_at"].(int64)
		if !ok {
			updated = m.Timestamp
		}
		order := func(rank int) []any { return []any{rank, updated, kind, m.Timestamp, m.ID} }
		id := m.Data["id"].(string)
		dead[id] = dead[id] || kind == 3
		writes = append(writes, write{id, m.Data, order(2)})
		if org, ok := m.Data["organization"].(map[string]any); ok {
			writes = append(writes, write{org["id"].(string), org, order(1)})
		}
		if user, ok := m.Data["public_user_data"].(map[string]any); ok {
			writes = append(writes, write{user["user_id"].(string), user, order(1)})
		}
	}
	slices.SortFunc(writes, func(a, b write) int {
		return cmp.Or(
			cmp.Compare(a.order[0].(int), b.order[0].(int)), cmp.Compare(a.order[1].(int64), b.order[1].(int64)),
			cmp.Compare(a.order[2].(int), b.order[2].(int)), cmp.Compare(a.order[3].(int64), b.order[3].(int64)),
			cmp.Compare(a.order[4].(string), b.order[4].(string)),
		)
	})
	state := map[string]map[string]any{}
	for _, w := range writes {
		if state[w.object] == nil {
			state[w.object] = map[string]any{}
		}
		for name, value := range w.data {
			if slices.Contains(watched, name) {
				state[w.object][name] = value
			}
		}
	}
	for id := range dead {
		if dead[id] {
			state[id]["dead"] = true
		}
	}
	return state
}

// watched are the members that oracle and mirror are compared by.
var watched = []string{
	"name", "slug", "created_by", "image_url", "public_metadata", "first_name", "banned", "deprovisioned", "role",
	"role_name", "permissions",
}

// view writes a mirror in the oracle's form.
func view(t require.TestingT, m clerksync.Mirror) map[string]map[string]any {
	out := map[string]map[string]any{}
	for id, o := range m.Organizations {
		out[id] = map[string]any{}
		put(out[id], "name", o.Name)
		put(out[id], "slug", o.Slug)
		put(out[id], "created_by", o.CreatedBy)
		put(out[id], "image_url", o.ImageURL)
		put(out[id], "public_metadata", o.PublicMetadata)
		bury(out[id], o.Tombstone)
	}
	for id, u := range m.Users {
		out[id] = map[string]any{}
		put(out[id], "first_name", u.FirstName)
		put(out[id], "banned", u.Banned)
		put(out[id], "deprovisioned", u.Deprovisioned)
		bury(out[id], u.Tombstone)
	}
	for id, s := range m.Memberships {
		out[id] = map[string]any{}
		put(out[id], "role", s.Role)
		put(out[id], "role_name", s.RoleName)
		put(out[id], "permissions", s.Permissions)
		bury(out[id], s.Tombstone)
		require.Equal(t, pairs[s.ID], [2]string{s.OrganizationID, s.UserID}) //nolint:testifylint // both are computed
	}
	return out
}

func put[T any](out map[string]any, name string, f clerksync.Field[T]) {
	if f.Written() {
		out[name] = f.Value
	}
}

func bury(out map[string]any, tombstone clerksync.Tombstone) {
	if tombstone.Dead() {
		out["dead"] = true
	}
}

// asJSON makes views of different Go types comparable.
func asJSON(t require.TestingT, v any) string {
	text, err := json.MarshalIndent(v, "", " ")
	require.NoError(t, err)
	return string(text)
}

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

// t0 is when the histories begin. The receiving clock doesn't matter.
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

// genMessage draws one message. Its instants are a few milliseconds, so that every tie occurs.
func genMessage(n int) *rapid.Generator[message] {
	return rapid.Custom(func(t *rapid.T) message {
		object := rapid.SampledFrom([]string{
			"organization", "organizationMembership", "organizationMembership", "user", "organizationInvitation",
			"organizationDomain", "role", "permission",
		}).Draw(t, "object")
		events := []string{".created", ".updated", ".updated", ".deleted"}
		if object == "organizationInvitation" {
			events = []string{".created", ".accepted", ".revoked"}
		}
		m := message{
			ID:        fmt.Sprintf("msg_%02d", n),
			Type:      object + rapid.SampledFrom(events).Draw(t, "what"),
			Timestamp: t0 + rapid.Int64Range(0, 3).Draw(t, "occurred"),
		}
		switch object {
		case "organizationInvitation":
			m.Data = genInvitation(t)
		case "organizationDomain":
			m.Data = genDomain(t)
		case "role":
			m.Data = genRole(t)
		case "permission":
			m.Data = genPermission(t, rapid.SampledFrom([]string{"perm_1", "perm_2"}).Draw(t, "id"))
		case "organization":
			m.Data = genOrganization(t, rapid.SampledFrom([]string{"org_a", "org_b"}).Draw(t, "id"))
		case "user":
			m.Data = genUser(t, rapid.SampledFrom([]string{"user_1", "user_2"}).Draw(t, "id"))
		default:
			m.Data = genMembership(t, rapid.SampledFrom(slices.Sorted(maps.Keys(pairs))).Draw(t, "id"))
		}
		if strings.HasSuffix(m.Type, ".deleted") && object != "organizationMembership" {
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
	maybe(t, data, "max_allowed_memberships", 0, 5)
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

func genInvitation(t *rapid.T) map[string]any {
	data := map[string]any{
		"id": "orginv_1", "updated_at": t0 + rapid.Int64Range(0, 3).Draw(t, "updated"), "organization_id": "org_a",
		"email_address": "kim@callmine.test", "role": "org:member", "created_at": t0,
		"status": rapid.SampledFrom([]string{"pending", "accepted", "revoked"}).Draw(t, "status"),
		"url":    "https://secret.test",
	}
	maybe(t, data, "inviter_id", nil, "user_1")
	maybe(t, data, "user_id", nil, "user_2")
	maybe(t, data, "expires_at", nil, t0+1)
	public := map[string]any{"id": "org_a", "name": rapid.SampledFrom([]string{"North", "South"}).Draw(t, "name")}
	maybe(t, data, "public_organization_data", public)
	return data
}

func genDomain(t *rapid.T) map[string]any {
	data := map[string]any{
		"id": "orgdmn_1", "updated_at": t0 + rapid.Int64Range(0, 3).Draw(t, "updated"), "organization_id": "org_a",
		"name": rapid.SampledFrom([]string{"a.test", "b.test"}).Draw(t, "name"),
	}
	maybe(t, data, "enrollment_mode", "manual_invitation", "automatic_invitation")
	return data
}

func genRole(t *rapid.T) map[string]any {
	data := map[string]any{"id": "role_1", "updated_at": t0 + rapid.Int64Range(0, 3).Draw(t, "updated")}
	maybe(t, data, "key", "org:clerk", "org:accountant", "admin")
	maybe(t, data, "name", "Clerk", "Accountant")
	maybe(t, data, "permissions", []any{}, []any{genPermission(t, "perm_2"), genPermission(t, "perm_1")})
	return data
}

func genPermission(t *rapid.T, id string) map[string]any {
	return map[string]any{
		"id": id, "updated_at": t0 + rapid.Int64Range(0, 3).Draw(t, "updated"),
		"key": rapid.SampledFrom([]string{"org:a:read", "org:b:read"}).Draw(t, "key"), "name": id,
	}
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

func apply(t require.TestingT, mirror clerksync.Mirror, m message) (state clerksync.State, changed clerksync.Mirror, entries []clerksync.AuditEntry) {
	deliveries := []clerksync.Delivery{m.delivery(t)}
	facts, known, err := clerksync.Decode(deliveries[0])
	require.NoError(t, err)
	require.True(t, known)
	changes := mirror.ApplyAll(deliveries, []clerksync.Facts{facts})
	return deliveries[0].State, changes.Mirror, changes.Entries
}

// oracle returns what each object must look like after a history. It reads the JSON alone and works
// by brute force: of all messages that have a field of an object, the last one in the order of the
// merge rule counts.
func oracle(history []message) map[string]map[string]any {
	type write struct {
		object string
		data   map[string]any
		order  []any
	}
	var writes []write
	dead := map[string]bool{}
	for _, m := range history {
		kind := map[string]int{"created": 1, "updated": 2, "accepted": 2, "revoked": 2, "deleted": 3}[m.Type[strings.Index(m.Type, ".")+1:]]
		add := func(rank int, id string, data map[string]any) {
			updated, ok := data["updated_at"].(int64)
			if !ok || rank == 1 { // a nested copy is as of the event
				updated = m.Timestamp
			}
			writes = append(writes, write{id, data, []any{rank, updated, kind, m.Timestamp, m.ID}})
		}
		id := m.Data["id"].(string)
		dead[id] = dead[id] || kind == 3
		add(2, id, m.Data)
		for _, nested := range []string{"organization", "public_organization_data"} {
			if org, ok := m.Data[nested].(map[string]any); ok {
				add(1, org["id"].(string), org)
			}
		}
		if id, ok := m.Data["organization_id"].(string); ok {
			add(1, id, nil)
		}
		if user, ok := m.Data["public_user_data"].(map[string]any); ok {
			add(1, user["user_id"].(string), user)
		}
		if permissions, ok := m.Data["permissions"].([]any); ok && strings.HasPrefix(id, "role_") {
			for _, p := range permissions {
				add(1, p.(map[string]any)["id"].(string), p.(map[string]any))
			}
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
			if name == "username" { // the users of these histories have neither addresses nor numbers
				name = "identifier"
			}
			if slices.Contains(watched, name) && (name != "user_id" || strings.HasPrefix(w.object, "orginv_")) {
				state[w.object][name] = canonical(w.object, name, value)
			}
		}
	}
	for id := range dead {
		if dead[id] {
			state[id]["dead"] = true
		}
	}
	maps.DeleteFunc(state, func(_ string, object map[string]any) bool { return len(object) == 0 })
	return state
}

// canonical writes a value as the mirror holds it.
func canonical(object, name string, value any) any {
	switch {
	case name == "role" && value == "basic_member":
		return "org:member"
	case name == "key" && value == "admin":
		return "org:admin"
	case name == "permissions" && strings.HasPrefix(object, "role_"):
		ids := []string{}
		for _, p := range value.([]any) {
			ids = append(ids, p.(map[string]any)["id"].(string))
		}
		slices.Sort(ids)
		return ids
	default:
		return value
	}
}

// watched are the members in which oracle and mirror are compared.
var watched = []string{
	"name", "slug", "created_by", "image_url", "max_allowed_memberships", "public_metadata", "first_name", "banned", "deprovisioned", "role",
	"role_name", "permissions", "status", "inviter_id", "user_id", "expires_at", "enrollment_mode", "key", "identifier",
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
		put(out[id], "max_allowed_memberships", o.MaxMemberships)
		put(out[id], "public_metadata", o.PublicMetadata)
		bury(out[id], o.Tombstone)
	}
	for id, u := range m.Users {
		out[id] = map[string]any{}
		put(out[id], "first_name", u.FirstName)
		put(out[id], "identifier", u.Identifier)
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
	for id, i := range m.Invitations {
		out[id] = map[string]any{}
		put(out[id], "role", i.Role)
		put(out[id], "status", i.Status)
		put(out[id], "inviter_id", i.InviterID)
		put(out[id], "user_id", i.UserID)
		put(out[id], "expires_at", i.ExpiresAt)
		require.Equal(t, "org_a", i.OrganizationID)
	}
	for id, d := range m.Domains {
		out[id] = map[string]any{}
		put(out[id], "name", d.Name)
		put(out[id], "enrollment_mode", d.EnrollmentMode)
		bury(out[id], d.Tombstone)
	}
	for id, r := range m.Roles {
		out[id] = map[string]any{}
		put(out[id], "key", r.Key)
		put(out[id], "name", r.Name)
		put(out[id], "permissions", r.PermissionIDs)
		bury(out[id], r.Tombstone)
	}
	for id, p := range m.Permissions {
		out[id] = map[string]any{}
		put(out[id], "key", p.Key)
		put(out[id], "name", p.Name)
		bury(out[id], p.Tombstone)
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

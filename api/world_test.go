package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// worldBegan is when the first event of every world occurred. Its milliseconds aren't 0, so that a
// test fails if they are lost.
func worldBegan() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC) }

// world fills a mirror as the service does: it applies deliveries as Clerk would send them. Each
// event occurs a second after the one before.
type world struct {
	tb     testing.TB
	db     *mirrortest.DB
	events int
}

// now is when the newest event occurred.
func (w *world) now() time.Time { return worldBegan().Add(time.Duration(w.events) * time.Second) }

// delivery returns the next event.
func (w *world) delivery(event clerksync.EventType, data map[string]any) clerksync.Delivery {
	w.tb.Helper()
	w.events++
	body, err := json.Marshal(map[string]any{
		"object": "event", "type": event, "timestamp": w.now().UnixMilli(), "instance_id": "ins_1", "data": data,
	})
	require.NoError(w.tb, err)
	return clerksync.NewDelivery(fmt.Sprintf("msg_%06d", w.events), body, w.now(), w.now())
}

// apply merges deliveries into the mirror in one transaction, as the apply job does.
func (w *world) apply(deliveries ...clerksync.Delivery) {
	w.tb.Helper()
	w.db.Insert(w.tb, deliveries...)
	_, err := w.db.Apply(w.tb.Context(), mirrortest.IDs(deliveries)...)
	require.NoError(w.tb, err)
}

// swept records that a clean sweep ended now.
func (w *world) swept() {
	w.tb.Helper()
	require.NoError(w.tb, store.FinishSweep(w.tb.Context(), w.db.Pool, store.Sweep{
		State: store.SweepClean, StartedAt: w.now(), Progress: json.RawMessage("{}"), Report: json.RawMessage("{}"),
	}))
}

// organization makes an organization; changes replace what Clerk would send.
func (w *world) organization(id, name string, changes map[string]any) {
	w.tb.Helper()
	w.apply(w.delivery(clerksync.OrganizationCreated, with(map[string]any{
		"object": "organization", "id": id, "name": name, "slug": "slug-" + id, "image_url": "https://img.example.com/" + id,
		"created_by": "user_founder", "created_at": w.now().UnixMilli(), "updated_at": w.now().UnixMilli(),
	}, changes)))
}

func (w *world) deleteOrganization(id string) {
	w.tb.Helper()
	w.apply(w.delivery(clerksync.OrganizationDeleted, map[string]any{"object": "organization", "id": id, "deleted": true}))
}

// member makes a user a member; changes replace what Clerk would send.
func (w *world) member(organization, user, role string, changes map[string]any) {
	w.tb.Helper()
	w.apply(w.membership(clerksync.MembershipCreated, organization, user, role, changes))
}

// remove ends the membership that member made.
func (w *world) remove(organization, user string) {
	w.tb.Helper()
	w.apply(w.membership(clerksync.MembershipDeleted, organization, user, "org:member", nil))
}

func (w *world) membership(event clerksync.EventType, organization, user, role string, changes map[string]any) clerksync.Delivery {
	w.tb.Helper()
	at := w.now().UnixMilli()
	return w.delivery(event, with(map[string]any{
		"object": "organization_membership", "id": membershipID(organization, user), "role": role, "role_name": "Role " + role,
		"permissions": []string{}, "created_at": at, "updated_at": at,
		"organization": map[string]any{"object": "organization", "id": organization},
		"public_user_data": map[string]any{
			"user_id": user, "identifier": user + "@example.com", "first_name": "First", "last_name": nil,
		},
	}, changes))
}

func membershipID(organization, user string) string { return "orgmem_" + organization + "_" + user }

// account changes a user, for example by {"banned": true}.
func (w *world) account(user string, changes map[string]any) {
	w.tb.Helper()
	at := w.now().UnixMilli()
	w.apply(w.delivery(clerksync.UserUpdated, with(map[string]any{
		"object": "user", "id": user, "created_at": at, "updated_at": at, "banned": false, "deprovisioned": false,
	}, changes)))
}

func (w *world) deleteUser(id string) {
	w.tb.Helper()
	w.apply(w.delivery(clerksync.UserDeleted, map[string]any{"object": "user", "id": id, "deleted": true}))
}

// invitation makes an invitation; changes replace what Clerk would send.
func (w *world) invitation(id, organization string, changes map[string]any) {
	w.tb.Helper()
	w.apply(w.delivery(clerksync.InvitationCreated, with(map[string]any{
		"object": "organization_invitation", "id": id, "organization_id": organization, "email_address": "guest@callmine.test",
		"role": "org:member", "status": "pending", "updated_at": w.now().UnixMilli(), "url": "https://example.com/ticket",
	}, changes)))
}

// with returns the fields with some replaced; a nil value removes one.
func with(fields, changes map[string]any) map[string]any {
	changed := maps.Clone(fields)
	maps.Copy(changed, changes)
	maps.DeleteFunc(changed, func(_ string, value any) bool { return value == nil })
	return changed
}

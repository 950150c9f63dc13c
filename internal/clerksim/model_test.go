package clerksim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/clerksim"
)

// replay is the simplest mirror there is: it takes every message once and in order.
type replay struct {
	users, organizations, memberships map[string]object
}

func newReplay() *replay {
	return &replay{users: map[string]object{}, organizations: map[string]object{}, memberships: map[string]object{}}
}

func (r *replay) apply(t require.TestingT, m clerksim.Message) {
	var envelope struct {
		Type string
		Data object
	}
	require.NoError(t, json.Unmarshal(m.Body, &envelope))
	require.Equal(t, m.Type, envelope.Type)
	kind, what, _ := strings.Cut(m.Type, ".")
	table := map[string]map[string]object{
		"user": r.users, "organization": r.organizations, "organizationMembership": r.memberships,
	}[kind]
	require.Equal(t, m.ObjectID, envelope.Data["id"])
	if what == "deleted" {
		delete(table, m.ObjectID)
		return
	}
	table[m.ObjectID] = envelope.Data
}

// role is the replay's answer to [clerksim.Directory.Role].
func (r *replay) role(organizationID, userID string) string {
	user, alive := r.users[userID]
	if _, exists := r.organizations[organizationID]; !exists || !alive || user["banned"] == true || user["deprovisioned"] == true {
		return ""
	}
	for _, m := range r.memberships {
		organization, _ := m["organization"].(map[string]any)
		user, _ := m["public_user_data"].(map[string]any)
		if organization["id"] == organizationID && user["user_id"] == userID {
			return fmt.Sprint(m["role"])
		}
	}
	return ""
}

// machine makes random changes and remembers whom it may make them to.
type machine struct {
	w                    *clerksim.World
	c                    *clock
	users, organizations []string
}

func (m *machine) user(t *rapid.T) string { return rapid.SampledFrom(m.users).Draw(t, "user") }
func (m *machine) organization(t *rapid.T) string {
	return rapid.SampledFrom(m.organizations).Draw(t, "organization")
}

// change makes one change, which the world may refuse only with a code.
func (m *machine) change(t *rapid.T) {
	m.c.advance(time.Duration(rapid.IntRange(0, 1).Draw(t, "ms")) * time.Millisecond)
	var err error
	switch rapid.IntRange(0, 10).Draw(t, "change") {
	case 0:
		u, created := m.w.CreateUser(clerksim.NewUser{})
		m.users, err = append(m.users, u.ID), created
	case 1:
		var o clerksim.Organization
		if o, err = m.w.CreateOrganization(clerksim.NewOrganization{CreatedBy: m.user(t)}); err == nil {
			m.organizations = append(m.organizations, o.ID)
		}
	case 2, 3:
		_, err = m.w.AddMember(m.organization(t), m.user(t), "")
	case 4:
		role := rapid.SampledFrom([]string{clerksim.RoleAdmin, clerksim.RoleMember}).Draw(t, "role")
		_, err = m.w.SetRole(m.organization(t), m.user(t), role)
	case 5:
		err = m.w.RemoveMember(m.organization(t), m.user(t))
	case 6:
		_, err = m.w.BanUser(m.user(t))
	case 7:
		_, err = m.w.UnbanUser(m.user(t))
	case 8:
		_, err = m.w.DeprovisionUser(m.user(t))
	case 9:
		err = m.w.DeleteUser(m.user(t))
	case 10:
		err = m.w.DeleteOrganization(m.organization(t))
	}
	if _, refused := errors.AsType[*clerksim.Error](err); err != nil {
		require.True(t, refused, "%v", err)
	}
}

// TestMessagesAndAPIBothTellTheTruth makes random histories and finds the directory again in two ways: by replaying
// every message in order, and by reading every page of the API.
func TestMessagesAndAPIBothTellTheTruth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		w, err := clerksim.New(clerksim.Config{
			Seed: rapid.Uint64().Draw(t, "seed"), Now: c.Now, MembershipEventsOnDelete: rapid.Bool().Draw(t, "per row"),
		})
		require.NoError(t, err)
		m := &machine{w: w, c: c, users: []string{"user_unknown"}, organizations: []string{"org_unknown"}}
		for range rapid.IntRange(0, 60).Draw(t, "changes") {
			m.change(t)
		}
		truth, mirror := w.Directory(), newReplay()
		for _, message := range w.Drain() {
			mirror.apply(t, message)
		}
		for _, organizationID := range m.organizations {
			for _, userID := range m.users {
				require.Equal(t, truth.Role(organizationID, userID), mirror.role(organizationID, userID))
			}
		}
		require.Equal(t, memberships(truth), sweep(t, w))
	})
}

func memberships(d clerksim.Directory) map[string]string {
	roles := map[string]string{}
	for _, m := range d.Memberships() {
		roles[m.ID] = m.Role
	}
	return roles
}

// sweep reads every membership, a few a page.
func sweep(t *rapid.T, w *clerksim.World) map[string]string {
	handler, roles := w.Handler(), map[string]string{}
	for {
		path := fmt.Sprintf("/v1/organization_memberships?limit=3&order_by=%%2Bcreated_at&offset=%d", len(roles))
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		req.Header.Set("Authorization", "Bearer "+w.SecretKey())
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, req)
		require.Equal(t, http.StatusOK, recorder.Code)
		var p page
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &p))
		if len(p.Data) == 0 {
			require.Equal(t, p.TotalCount, len(roles))
			return roles
		}
		for _, m := range p.Data {
			roles[fmt.Sprint(m["id"])] = fmt.Sprint(m["role"])
		}
	}
}

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

// replay is the simplest mirror: it applies every message once and in order.
type replay struct {
	users, organizations, memberships, invitations, domains map[string]object
}

func newReplay() *replay {
	return &replay{
		users: map[string]object{}, organizations: map[string]object{}, memberships: map[string]object{},
		invitations: map[string]object{}, domains: map[string]object{},
	}
}

func (r *replay) apply(t require.TestingT, m clerksim.Message) {
	var envelope struct {
		Type string `json:"type"`
		Data object `json:"data"`
	}
	require.NoError(t, json.Unmarshal(m.Body, &envelope))
	require.Equal(t, m.Type, envelope.Type)
	kind, what, _ := strings.Cut(m.Type, ".")
	table := map[string]map[string]object{
		"user": r.users, "organization": r.organizations, "organizationMembership": r.memberships,
		"organizationInvitation": r.invitations, "organizationDomain": r.domains,
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

// states describes each existing invitation and domain of an organization, as the directory has it.
func (r *replay) states(now time.Time) map[string]string {
	states := map[string]string{}
	for id, i := range r.invitations {
		status := fmt.Sprint(i["status"])
		if expires, _ := i["expires_at"].(float64); status == "pending" && expires <= float64(now.UnixMilli()) {
			status = "expired"
		}
		states[id] = fmt.Sprint(status, i["role"], i["email_address"], i["user_id"])
	}
	for id, d := range r.domains {
		verification, _ := d["verification"].(map[string]any)
		states[id] = fmt.Sprint(d["name"], d["enrollment_mode"], verification["status"])
	}
	for _, table := range []map[string]object{r.invitations, r.domains} {
		for id, o := range table {
			if _, exists := r.organizations[fmt.Sprint(o["organization_id"])]; !exists {
				delete(states, id)
			}
		}
	}
	return states
}

// states returns the directory in the form of [replay.states].
func states(d clerksim.Directory) map[string]string {
	orNil := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	states := map[string]string{}
	for id, i := range d.Invitations {
		states[id] = fmt.Sprint(i.Status, i.Role, i.Email, orNil(i.UserID))
	}
	for id, d := range d.Domains {
		states[id] = fmt.Sprint(d.Name, d.EnrollmentMode, orNil(string(d.Verification)))
	}
	return states
}

// machine makes random changes and remembers their objects.
type machine struct {
	w                    *clerksim.World
	c                    *clock
	users, organizations []string
	invitations, domains []string
}

func (m *machine) user(t *rapid.T) string { return rapid.SampledFrom(m.users).Draw(t, "user") }
func (m *machine) organization(t *rapid.T) string {
	return rapid.SampledFrom(m.organizations).Draw(t, "organization")
}

// change makes one change. The world may refuse it, but only with a code.
func (m *machine) change(t *rapid.T) {
	m.c.advance(time.Duration(rapid.IntRange(0, 1).Draw(t, "ms")) * time.Millisecond)
	var err error
	switch rapid.IntRange(0, 12).Draw(t, "change") {
	case 0:
		var u clerksim.User
		u, err = m.w.CreateUser(clerksim.NewUser{})
		m.users = append(m.users, u.ID)
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
	case 11:
		err = m.changeInvitation(t)
	case 12:
		err = m.changeDomain(t)
	}
	if _, refused := errors.AsType[*clerksim.Error](err); err != nil {
		require.True(t, refused, "%v", err)
	}
}

func (m *machine) changeInvitation(t *rapid.T) error {
	id := rapid.SampledFrom(m.invitations).Draw(t, "invitation")
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		_, err := m.w.Accept(id, m.user(t))
		return err
	case 1:
		_, err := m.w.Revoke(id)
		return err
	default:
		i, err := m.w.CreateInvitation(clerksim.NewInvitation{
			OrganizationID: m.organization(t),
			InviterID:      rapid.SampledFrom([]string{"", m.user(t)}).Draw(t, "inviter"),
			Email:          rapid.SampledFrom([]string{"user-1@callmine.test", "guest@callmine.test"}).Draw(t, "address"),
			Lifetime:       time.Duration(rapid.IntRange(0, 20).Draw(t, "life")) * time.Millisecond,
		})
		if err == nil {
			m.invitations = append(m.invitations, i.ID)
		}
		return err
	}
}

func (m *machine) changeDomain(t *rapid.T) error {
	id := rapid.SampledFrom(m.domains).Draw(t, "domain")
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		return m.w.DeleteDomain(id)
	case 1:
		_, err := m.w.UpdateDomain(id, clerksim.DomainUpdate{Verified: new(rapid.Bool().Draw(t, "verified"))})
		return err
	default:
		d, err := m.w.AddDomain(m.organization(t), rapid.SampledFrom([]string{"a.test", "b.test"}).Draw(t, "name"))
		if err == nil {
			m.domains = append(m.domains, d.ID)
		}
		return err
	}
}

// TestWorld_MessagesAndAPIAgreeWithAModel makes random histories and rebuilds the directory in two
// ways: by replaying every message in order, and by reading every page of the API.
func TestWorld_MessagesAndAPIAgreeWithAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		w, err := clerksim.New(clerksim.Config{
			Seed: rapid.Uint64().Draw(t, "seed"), Now: c.Now, MembershipEventsOnDelete: rapid.Bool().Draw(t, "per row"),
		})
		require.NoError(t, err)
		m := &machine{
			w: w, c: c, users: []string{"user_unknown"}, organizations: []string{"org_unknown"},
			invitations: []string{"orginv_unknown"}, domains: []string{"orgdmn_unknown"},
		}
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
		require.Equal(t, states(truth), mirror.states(c.Now()))
		require.Equal(t, memberships(truth), sweep(t, w, "/v1/organization_memberships", "role"))
		require.Equal(t, invitations(truth), sweep(t, w, "/v1/organization_invitations", "status"))
		require.Equal(t, domains(truth), sweep(t, w, "/v1/organization_domains", "name"))
	})
}

func memberships(d clerksim.Directory) map[string]string {
	roles := map[string]string{}
	for _, m := range d.Memberships() {
		roles[m.ID] = m.Role
	}
	return roles
}

func invitations(d clerksim.Directory) map[string]string {
	statuses := map[string]string{}
	for id, i := range d.Invitations {
		statuses[id] = string(i.Status)
	}
	return statuses
}

func domains(d clerksim.Directory) map[string]string {
	names := map[string]string{}
	for id, d := range d.Domains {
		names[id] = d.Name
	}
	return names
}

// sweep reads every row of a list, a few a page, and returns one field of each by id.
func sweep(t *rapid.T, w *clerksim.World, list, field string) map[string]string {
	handler, rows := w.Handler(), map[string]string{}
	for {
		path := fmt.Sprintf("%s?limit=3&order_by=%%2Bcreated_at&offset=%d", list, len(rows))
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		req.Header.Set("Authorization", "Bearer "+w.SecretKey())
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, req)
		require.Equal(t, http.StatusOK, recorder.Code)
		var p page
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &p))
		if len(p.Data) == 0 {
			require.Len(t, rows, p.TotalCount)
			return rows
		}
		for _, row := range p.Data {
			rows[fmt.Sprint(row["id"])] = fmt.Sprint(row[field])
		}
	}
}

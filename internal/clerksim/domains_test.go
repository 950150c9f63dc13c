package clerksim_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

func addDomain(t *testing.T, w *clerksim.World, organizationID, name string) clerksim.Domain {
	t.Helper()
	d, err := w.AddDomain(organizationID, name)
	require.NoError(t, err)
	return d
}

func TestDomain_Life(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	o, _, _ := team(t, w)
	d := addDomain(t, w, o.ID, "north.callmine.test")
	require.Regexp(t, `^orgdmn_[0-9A-Za-z]{27}$`, d.ID)
	body := lastBody(t, w)
	require.Equal(t, "organizationDomain.created", body["type"])
	data := body.at(t, "data")
	for field, want := range map[string]any{
		"object": "organization_domain", "id": d.ID, "organization_id": o.ID, "name": "north.callmine.test",
		"enrollment_mode": "manual_invitation", "verification": nil, "affiliation_email_address": nil,
	} {
		require.Equal(t, want, data[field], field)
	}
	requireKeys(t, data, "verification", "total_pending_invitations", "total_pending_suggestions", "created_at")

	c.advance(time.Minute)
	updated, err := w.UpdateDomain(d.ID, clerksim.DomainUpdate{
		Verified: new(true), EnrollmentMode: new(clerksim.EnrollBySuggestion),
	})
	require.NoError(t, err)
	require.Equal(t, updated, w.Directory().Domains[d.ID])
	body = lastBody(t, w)
	require.Equal(t, "organizationDomain.updated", body["type"])
	data = body.at(t, "data")
	require.Equal(t, "verified", data.at(t, "verification")["status"])
	require.Equal(t, "automatic_suggestion", data["enrollment_mode"])
	require.Equal(t, c.Now().UnixMilli(), number(t, data["updated_at"]))

	_, err = w.UpdateDomain(d.ID, clerksim.DomainUpdate{Verified: new(false)})
	require.NoError(t, err)
	data = lastBody(t, w).at(t, "data")
	require.Equal(t, "unverified", data.at(t, "verification")["status"])
	require.Equal(t, "automatic_suggestion", data["enrollment_mode"], "nil leaves it")

	require.NoError(t, w.DeleteDomain(d.ID))
	body = lastBody(t, w)
	require.Equal(t, "organizationDomain.deleted", body["type"])
	data = body.at(t, "data")
	withoutUnknown(data)
	require.Equal(t, object{"object": "organization_domain", "id": d.ID, "deleted": true}, data)
	require.Empty(t, w.Directory().Domains)
	require.NotEqual(t, d.ID, addDomain(t, w, o.ID, d.Name).ID, "the name is free again")
}

func TestDomain_ComesInEveryForm(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, _, _ := team(t, w)
	seen := map[string]int{}
	for n := range 40 {
		addDomain(t, w, o.ID, fmt.Sprintf("d%d.callmine.test", n))
		data := lastBody(t, w).at(t, "data")
		for _, field := range []string{"public_organization_data", "affiliation_verification", "ownership_verification"} {
			_, present := data[field]
			seen[fmt.Sprint(field, present)]++
		}
	}
	require.Len(t, seen, 6, "%v", seen)
}

func TestDomain_RefusedChangesNothing(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, _ := team(t, w)
	d := addDomain(t, w, o.ID, "callmine.test")
	addDomain(t, w, createOrganization(t, w, admin.ID).ID, "callmine.test")
	w.Drain()
	before := w.Directory()
	second := func(_ any, err error) error { return err }
	for name, refusal := range map[string]struct {
		err  error
		code clerksim.Code
	}{
		"unknown organization": {second(w.AddDomain("org_no", "x.test")), clerksim.ErrNotFound},
		"no domain":            {second(w.AddDomain(o.ID, "callmine")), clerksim.ErrInvalid},
		"upper case":           {second(w.AddDomain(o.ID, "Callmine.test")), clerksim.ErrInvalid},
		"twice":                {second(w.AddDomain(o.ID, "callmine.test")), clerksim.ErrDuplicate},
		"update nothing":       {second(w.UpdateDomain("orgdmn_no", clerksim.DomainUpdate{})), clerksim.ErrNotFound},
		"unknown mode": {second(w.UpdateDomain(d.ID, clerksim.DomainUpdate{
			Verified: new(true), EnrollmentMode: new("by_post"),
		})), clerksim.ErrInvalid},
		"delete nothing": {w.DeleteDomain("orgdmn_no"), clerksim.ErrNotFound},
	} {
		require.ErrorIs(t, refusal.err, refusal.code, name)
	}
	require.Equal(t, before, w.Directory())
	require.Empty(t, w.Drain())
}

func TestDomain_ListedForTheInstance(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, _ := team(t, w)
	first, second := addDomain(t, w, o.ID, "a.test"), addDomain(t, w, createOrganization(t, w, admin.ID).ID, "b.test")
	_, err := w.UpdateDomain(second.ID, clerksim.DomainUpdate{Verified: new(true)})
	require.NoError(t, err)
	const path = "/v1/organization_domains"
	found := func(query url.Values) []string { return ids(callList(t, w, path, query).Data) }
	require.Equal(t, []string{second.ID, first.ID}, found(nil))
	require.Equal(t, []string{first.ID, second.ID}, found(url.Values{"order_by": {"+created_at"}}))
	require.Equal(t, []string{first.ID}, found(url.Values{"offset": {"1"}}))
	require.Equal(t, []string{first.ID}, found(url.Values{"organization_id": {o.ID}}))
	require.Equal(t, []string{second.ID}, found(url.Values{"verified": {"true"}}))
	require.Equal(t, []string{first.ID}, found(url.Values{"verified": {"false"}}))
	listed := callList(t, w, path, url.Values{"organization_id": {o.ID}}).Data[0]
	require.Equal(t, o.ID, listed.at(t, "public_organization_data")["id"])

	status, _ := call(t, w.Handler(), w.SecretKey(), path, url.Values{"verified": {"maybe"}})
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _ = call(t, w.Handler(), w.SecretKey(), path, url.Values{"domains": {"a.test"}})
	require.Equal(t, http.StatusUnprocessableEntity, status, "a filter it doesn't know")
	status, _ = call(t, w.Handler(), "", path, nil)
	require.Equal(t, http.StatusUnauthorized, status)
}

package clerksim_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

func TestAPI_Invites(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	o, admin, _ := team(t, w)
	path := "/v1/organizations/" + o.ID + "/invitations"
	status, answer := send(t, w, http.MethodPost, path, `{"email_address":"guest@callmine.test","role":"org:admin",
		"inviter_user_id":"`+admin.ID+`","expires_in_days":2,"public_metadata":{"a":1},"redirect_url":null,"notify":false}`)
	require.Equal(t, http.StatusOK, status, "%v", answer)
	id, _ := answer["id"].(string)
	i, ok := w.Invitation(id)
	require.True(t, ok)
	require.Equal(t, admin.ID, i.InviterID)
	require.Equal(t, clerksim.RoleAdmin, i.Role)
	require.Equal(t, 48*time.Hour, i.ExpiresAt.Sub(c.Now()))
	require.JSONEq(t, `{"a":1}`, string(i.PublicMetadata))
	require.Equal(t, []string{"organizationInvitation.created"}, types(w.Drain()))
	require.Equal(t, "pending", answer["status"])
	require.Equal(t, answer, decode(t, callAPI(t, w, path+"/"+id, nil)), "the look-up says the same")

	status, answer = send(t, w, http.MethodPost, path+"/"+id+"/revoke", `{"requesting_user_id":"`+admin.ID+`"}`)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "revoked", answer["status"])
	require.Equal(t, []string{"organizationInvitation.revoked"}, types(w.Drain()))
	status, _ = send(t, w, http.MethodPost, path, `{"email_address":"guest@callmine.test","role":"org:member","public_metadata":null}`)
	require.Equal(t, http.StatusOK, status)
	pending := callList(t, w, path, url.Values{"status": {"pending"}}).Data[0]
	require.Nil(t, pending["inviter_id"])
	requireKeys(t, pending, "inviter_id", "public_inviter_data", "url")
	id, _ = pending["id"].(string)
	status, _ = send(t, w, http.MethodPost, path+"/"+id+"/revoke", "")
	require.Equal(t, http.StatusOK, status, "without a body")
}

func TestAPI_ListsInvitations(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	o, admin, _ := team(t, w)
	other := createOrganization(t, w, admin.ID)
	expired := invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID, Lifetime: time.Second})
	c.advance(time.Second)
	accepted := invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID, Email: "First@callmine.test"})
	_, err := w.Accept(accepted.ID, createUser(t, w, clerksim.NewUser{}).ID)
	require.NoError(t, err)
	revoked := invite(t, w, clerksim.NewInvitation{OrganizationID: other.ID})
	_, err = w.Revoke(revoked.ID)
	require.NoError(t, err)
	pending := invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID, InviterID: admin.ID})

	const instance = "/v1/organization_invitations"
	within := "/v1/organizations/" + o.ID + "/invitations"
	for name, tc := range map[string]struct {
		path  string
		query url.Values
		want  []string
	}{
		"all":                   {instance, nil, []string{pending.ID, revoked.ID, accepted.ID, expired.ID}},
		"oldest first":          {instance, url.Values{"order_by": {"+created_at"}, "limit": {"2"}}, []string{expired.ID, accepted.ID}},
		"expired":               {instance, url.Values{"status": {"expired"}}, []string{expired.ID}},
		"pending":               {instance, url.Values{"status": {"pending"}}, []string{pending.ID}},
		"two statuses":          {instance, url.Values{"status": {"accepted", "revoked"}}, []string{revoked.ID, accepted.ID}},
		"a part of an address":  {instance, url.Values{"query": {"first"}}, []string{accepted.ID}},
		"of one organization":   {within, nil, []string{pending.ID, accepted.ID, expired.ID}},
		"accepted, of one":      {within, url.Values{"status": {"accepted"}}, []string{accepted.ID}},
		"to one address, there": {within, url.Values{"email_address": {guest}}, []string{pending.ID, expired.ID}},
		"a part is no address":  {within, url.Values{"email_address": {"guest"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := callList(t, w, tc.path, tc.query)
			require.Equal(t, tc.want, ids(found.Data))
			if tc.query.Get("limit") == "" {
				require.Equal(t, len(tc.want), found.TotalCount, "counts what matches")
			}
			for _, i := range found.Data {
				require.Equal(t, tc.path == instance, i["public_organization_data"] != nil)
				require.NotContains(t, i, "user_id", "only the event has it")
			}
		})
	}
}

func TestAPI_RefusesRequestsAboutInvitations(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, member := team(t, w)
	other := createOrganization(t, w, admin.ID)
	full, err := w.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID, MaxMembers: 1})
	require.NoError(t, err)
	pending := invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID})
	settled := invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID, Email: "settled@callmine.test"})
	_, err = w.Revoke(settled.ID)
	require.NoError(t, err)
	w.Drain()
	of := func(organizationID string) string { return "/v1/organizations/" + organizationID + "/invitations" }
	asked := func(address, more string) string { return `{"email_address":"` + address + `"` + more + `}` }
	const role, fresh = `,"role":"org:member"`, "fresh@callmine.test"
	for name, tc := range map[string]struct {
		method, path, body string
		status             int
		code               clerksim.Code
	}{
		"pending already":       {http.MethodPost, of(o.ID), asked(guest, role), 400, clerksim.ErrInvitationNotUnique},
		"member already":        {http.MethodPost, of(o.ID), asked(*member.Identifier(), role), 400, clerksim.ErrAlreadyMember},
		"by no admin":           {http.MethodPost, of(o.ID), asked(fresh, role+`,"inviter_user_id":"`+member.ID+`"`), 403, clerksim.ErrNotAdmin},
		"full":                  {http.MethodPost, of(full.ID), asked(fresh, role), 403, clerksim.ErrQuota},
		"unknown organization":  {http.MethodPost, of("org_no"), asked(fresh, role), 404, clerksim.ErrNotFound},
		"unknown role":          {http.MethodPost, of(o.ID), asked(fresh, `,"role":"org:king"`), 404, clerksim.ErrNotFound},
		"no role":               {http.MethodPost, of(o.ID), asked(fresh, ``), 422, clerksim.ErrMissing},
		"no address":            {http.MethodPost, of(o.ID), `{"role":"org:member"}`, 422, clerksim.ErrMissing},
		"a bad address":         {http.MethodPost, of(o.ID), asked("fresh", role), 422, clerksim.ErrFormat},
		"0 days":                {http.MethodPost, of(o.ID), asked(fresh, role+`,"expires_in_days":0`), 422, clerksim.ErrInvalid},
		"366 days":              {http.MethodPost, of(o.ID), asked(fresh, role+`,"expires_in_days":366`), 422, clerksim.ErrInvalid},
		"unknown field":         {http.MethodPost, of(o.ID), asked(fresh, role+`,"template":{}`), 422, clerksim.ErrUnsimulated},
		"revoke settled":        {http.MethodPost, of(o.ID) + "/" + settled.ID + "/revoke", "", 400, clerksim.ErrInvitationNotPending},
		"revoke unknown":        {http.MethodPost, of(o.ID) + "/orginv_no/revoke", "", 404, clerksim.ErrNotFound},
		"revoke elsewhere":      {http.MethodPost, of(other.ID) + "/" + pending.ID + "/revoke", "", 404, clerksim.ErrNotFound},
		"revoked by no admin":   {http.MethodPost, of(o.ID) + "/" + pending.ID + "/revoke", `{"requesting_user_id":"` + member.ID + `"}`, 403, clerksim.ErrNotAdmin},
		"revoke with a list":    {http.MethodPost, of(o.ID) + "/" + pending.ID + "/revoke", `[]`, 422, clerksim.ErrInvalid},
		"look up elsewhere":     {http.MethodGet, of(other.ID) + "/" + pending.ID, "", 404, clerksim.ErrNotFound},
		"list of nothing":       {http.MethodGet, of("org_no"), "", 404, clerksim.ErrNotFound},
		"unknown status":        {http.MethodGet, of(o.ID) + "?status=lost", "", 422, clerksim.ErrInvalid},
		"unsimulated parameter": {http.MethodGet, "/v1/organization_invitations?email_address=x", "", 422, clerksim.ErrUnsimulated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, answer := send(t, w, tc.method, tc.path, tc.body)
			require.Equal(t, tc.status, status, "%v", answer)
			errs, ok := answer["errors"].([]any)
			require.True(t, ok)
			require.Equal(t, string(tc.code), errs[0].(map[string]any)["code"])
			require.Empty(t, w.Drain(), "what is refused emits nothing")
		})
	}
}

func TestAPI_InvitesInBulk(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, member := team(t, w)
	bulk := "/v1/organizations/" + o.ID + "/invitations/bulk"
	one := func(address, more string) string {
		return `{"email_address":"` + address + `","role":"org:member"` + more + `}`
	}
	status, made := send(t, w, http.MethodPost, bulk,
		`[`+one("a@callmine.test", `,"inviter_user_id":"`+admin.ID+`"`)+`,`+one("b@callmine.test", `,"private_metadata":{"b":2},"expires_in_days":2`)+`]`)
	require.Equal(t, http.StatusOK, status, "%v", made)
	require.Equal(t, int64(2), number(t, made["total_count"]))
	require.Equal(t, "a@callmine.test", made["data"].([]any)[0].(map[string]any)["email_address"], "in the order of the request")
	require.Equal(t, []string{"organizationInvitation.created", "organizationInvitation.created"}, types(w.Drain()))
	require.Equal(t, 2, callList(t, w, "/v1/organizations/"+o.ID+"/invitations", nil).TotalCount)

	full, err := w.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID, MaxMembers: 2})
	require.NoError(t, err)
	w.Drain()
	fresh := one("c@callmine.test", "")
	for name, tc := range map[string]struct {
		path, body string
		code       clerksim.Code
	}{
		"none":            {bulk, `[]`, clerksim.ErrInvalid},
		"no array":        {bulk, fresh, clerksim.ErrInvalid},
		"eleven":          {bulk, `[` + strings.Repeat(fresh+`,`, 10) + fresh + `]`, clerksim.ErrInvalid},
		"one twice":       {bulk, `[` + fresh + `,` + one("C@callmine.test", "") + `]`, clerksim.ErrInvitationNotUnique},
		"one pending":     {bulk, `[` + fresh + `,` + one("a@callmine.test", "") + `]`, clerksim.ErrInvitationNotUnique},
		"one by nobody":   {bulk, `[` + fresh + `,` + one("d@callmine.test", `,"inviter_user_id":"`+member.ID+`"`) + `]`, clerksim.ErrNotAdmin},
		"one malformed":   {bulk, `[` + fresh + `,` + one("d", "") + `]`, clerksim.ErrFormat},
		"no role":         {bulk, `[` + fresh + `,{"email_address":"d@callmine.test"}]`, clerksim.ErrMissing},
		"one too many":    {"/v1/organizations/" + full.ID + "/invitations/bulk", `[` + fresh + `,` + one("d@callmine.test", "") + `]`, clerksim.ErrQuota},
		"unknown field":   {bulk, `[` + one("c@callmine.test", `,"x":1`) + `]`, clerksim.ErrUnsimulated},
		"no organization": {"/v1/organizations/org_no/invitations/bulk", `[` + fresh + `]`, clerksim.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, code, _ := refusal(t, w, http.MethodPost, tc.path, tc.body)
			require.Equal(t, string(tc.code), code)
			require.Empty(t, w.Drain(), "none is invited if one can't be")
		})
	}
}

func TestAPI_ListsTheInvitationsOfAUser(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, _ := team(t, w)
	other := createOrganization(t, w, admin.ID)
	guest := createUser(t, w, clerksim.NewUser{Emails: []string{"guest@callmine.test", "also@callmine.test"}})
	var want []string
	for _, invited := range []struct{ organizationID, address string }{{o.ID, "Guest@callmine.test"}, {other.ID, "also@callmine.test"}, {o.ID, "else@callmine.test"}} {
		i, err := w.Invite(invited.organizationID, admin.ID, invited.address, "")
		require.NoError(t, err)
		want = append([]string{i.ID}, want...)
	}
	path := "/v1/users/" + guest.ID + "/organization_invitations"
	found := callList(t, w, path, nil)
	require.Equal(t, want[1:], ids(found.Data))
	require.Equal(t, other.ID, found.Data[0].at(t, "public_organization_data")["id"])
	require.Empty(t, callList(t, w, path, url.Values{"status": {"accepted"}}).Data)
	status, _, _ := refusal(t, w, http.MethodGet, "/v1/users/user_no/organization_invitations", "")
	require.Equal(t, http.StatusNotFound, status)
}

package sync_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// There is one fuzz test for each decoder, with arbitrary data in an event of its types. No data
// makes it panic, and a refusal has an error. Facts have a subject, and applying them twice has the
// effect of applying them once.

func FuzzOrganization(f *testing.F) {
	fuzzDecoder(f, "organization", `{"id":"org_a","name":"North","slug":"","created_at":1790000000000,"public_metadata":{}}`)
}

func FuzzMembership(f *testing.F) {
	fuzzDecoder(f, "organizationMembership", `{"id":"orgmem_1","role":"admin","permissions":["a"],"organization":{"id":"org_a"},
		"public_user_data":{"user_id":"user_1","banned":true,"identifier":null}}`)
}

func FuzzInvitation(f *testing.F) {
	fuzzDecoder(f, "organizationInvitation", `{"id":"orginv_1","organization_id":"org_a","status":"pending","expires_at":null,
		"data":{"public_organization_data":{"id":"org_a"}},"public_inviter_data":{"user_id":"user_1"}}`)
}

func FuzzDomain(f *testing.F) {
	fuzzDecoder(f, "organizationDomain", `{"id":"orgdmn_1","organization_id":"org_a","name":"a.test","verification":{"status":"verified"}}`)
}

func FuzzRole(f *testing.F) {
	fuzzDecoder(f, "role", `{"id":"role_1","key":"basic_member","permissions":[{"id":"perm_1","key":"org:a:read"}]}`)
}

func FuzzPermission(f *testing.F) {
	fuzzDecoder(f, "permission", `{"id":"perm_1","key":"org:a:read","name":"Read"}`)
}

func FuzzUser(f *testing.F) {
	fuzzDecoder(f, "user", `{"id":"user_1","email_addresses":[{"id":"idn_1","email_address":"kim@callmine.test"}],
		"primary_email_address_id":"idn_1","banned":false,"deprovisioned":true}`)
}

func fuzzDecoder(f *testing.F, object, good string) {
	f.Helper()
	events := []string{".created", ".updated", ".deleted", ".accepted", ".revoked"}
	for i := range events {
		f.Add(i, good)
	}
	f.Add(0, `{"id":7}`)
	f.Fuzz(func(t *testing.T, event int, data string) {
		event %= len(events)
		body := `{"type":"` + object + events[max(event, -event)] + `","timestamp":1790000000000,"data":` + data + `}`
		d := receive(body)
		if !json.Valid([]byte(body)) {
			require.Equal(t, clerksync.StateQuarantined, d.State)
			return
		}
		facts, known, err := clerksync.Decode(d)
		if err != nil || !known {
			require.True(t, err == nil || known)
			return
		}
		require.NotEmpty(t, facts.Subject)
		mirror := clerksync.NewMirror()
		once, again := []clerksync.Delivery{d}, []clerksync.Delivery{d}
		mirror.ApplyAll(once, []clerksync.Facts{facts})
		changes := mirror.ApplyAll(again, []clerksync.Facts{facts})
		require.Equal(t, clerksync.StateSuperseded, again[0].State)
		require.Empty(t, changes.Entries)
	})
}

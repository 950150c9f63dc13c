package sync_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// FuzzEnvelope reads arbitrary bytes as a delivery. No bytes make it panic. All text for the ledger
// and the mirror is valid UTF-8 without NUL, as Postgres demands.
func FuzzEnvelope(f *testing.F) {
	for _, body := range []string{
		``, `null`, `[]`, `{}`, "\x00", "\xff\xfe", `{"type":"user.created"`,
		`{"type":"user.updated","timestamp":1790000000000,"instance_id":"ins_1","data":{"id":"user_1","updated_at":1790000000000,
			"email_addresses":[{"id":"idn_1","email_address":"kim@callmine.test"}],"primary_email_address_id":"idn_1"}}`,
		`{"type":"organization.created","data":{"id":"org_a","name":"a\u0000\ud800","slug":null,"public_metadata":{"k":"\u0000"}}}`,
		`{"type":"organizationMembership.deleted","data":{"id":"orgmem_1","role":"org:admin","permissions":["\u0000"],
			"organization":{"id":"org_a"},"public_user_data":{"user_id":"user_1","banned":true}}}`,
		`{"type":"organizationInvitation.created","data":{"url":"https://x.test?\"","data":{"u\u0072l":"x"}}}`,
		`{"data":{"url":"` + "\xff", `{"type":"user.deleted","timestamp":1e300,"data":{}}`,
		`{"type":"user.\u0000","instance_id":"\u0000","data":{"id":"\u0000","organization_id":"\u0000"}}`,
	} {
		f.Add([]byte(body))
	}
	at := time.UnixMilli(t0)
	f.Fuzz(func(t *testing.T, body []byte) {
		d := clerksync.NewDelivery("msg_1", body, at, at)
		require.Equal(t, d.State == clerksync.StateQuarantined, d.Reason != "")
		requireStorable(t, string(d.Body), string(d.Type), d.ObjectID, d.OrganizationID, d.InstanceID, d.Reason)
		if d.State == clerksync.StateReceived {
			require.True(t, json.Valid(d.Body), "redacting keeps it readable")
		}
		facts, _, err := clerksync.Decode(d)
		if err != nil {
			require.ErrorIs(t, err, clerksync.ErrUndecodable)
			requireStorable(t, err.Error())
			return
		}
		for _, m := range facts.Memberships {
			requireStorable(t, m.ID, m.OrganizationID, m.UserID, m.Role.Value, text(m.RoleName.Value), string(m.PublicMetadata.Value))
			requireStorable(t, m.Permissions.Value...)
		}
		for _, u := range facts.Users {
			requireStorable(t, u.ID, text(u.Identifier.Value), text(u.FirstName.Value), text(u.LastName.Value), text(u.ImageURL.Value))
		}
		for _, o := range facts.Organizations {
			requireStorable(t, o.ID, o.Name.Value, text(o.Slug.Value), text(o.ImageURL.Value), text(o.CreatedBy.Value), string(o.PublicMetadata.Value))
		}
	})
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func requireStorable(t *testing.T, texts ...string) {
	t.Helper()
	for _, s := range texts {
		require.True(t, utf8.ValidString(s) && !strings.Contains(s, "\x00"), "%q", s)
	}
}

package sync_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

var receivedAt = time.UnixMilli(t0 + 5000)

// receive makes a delivery of a body, signed at t0.
func receive(body string) clerksync.Delivery {
	return clerksync.NewDelivery("msg_1", []byte(body), time.UnixMilli(t0), receivedAt)
}

func decode(t *testing.T, body string) clerksync.Facts {
	t.Helper()
	d := receive(body)
	require.Equal(t, clerksync.StateReceived, d.State, d.Reason)
	facts, known, err := clerksync.Decode(d)
	require.NoError(t, err)
	require.True(t, known)
	return facts
}

func organizationBody(members string) string {
	return `{"type":"organization.updated","timestamp":1790000000000,"data":{"id":"org_a","updated_at":1790000000000` + members + `}}`
}

func TestDecode_AbsentNullAndEmptySlugsDiffer(t *testing.T) {
	t.Parallel()
	absent := decode(t, organizationBody(``)).Organizations[0].Slug
	require.False(t, absent.Written())
	null := decode(t, organizationBody(`,"slug":null`)).Organizations[0].Slug
	require.True(t, null.Written())
	require.Nil(t, null.Value)
	empty := decode(t, organizationBody(`,"slug":""`)).Organizations[0].Slug
	require.True(t, empty.Written())
	require.Empty(t, *empty.Value)
}

func TestEnvelope_Timestamps(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		member string
		want   int64
	}{
		"milliseconds":                  {`"timestamp":1748750479753,`, 1748750479753},
		"seconds of an example message": {`"timestamp":1716883200,`, 1716883200000},
		"exponent":                      {`"timestamp":1.748750479753e12,`, 1748750479753},
		"absent: the header's":          {``, t0},
		"null: the header's":            {`"timestamp":null,`, t0},
		"zero: the header's":            {`"timestamp":0,`, t0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := receive(`{` + tc.member + `"type":"user.deleted","data":{"id":"user_1"}}`)
			require.Equal(t, clerksync.StateReceived, d.State, d.Reason)
			require.Equal(t, tc.want, d.OccurredAt)
		})
	}
}

func TestNewDelivery_UnreadableIsQuarantined(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty":                  ``,
		"not JSON":               `{"type":`,
		"trailing garbage":       `{"type":"user.deleted","data":{"id":"user_1"}} x`,
		"an array":               `[]`,
		"null":                   `null`,
		"a string":               `"user.deleted"`,
		"no type":                `{"data":{}}`,
		"type of another kind":   `{"type":7,"data":{}}`,
		"no data":                `{"type":"user.deleted"}`,
		"null data":              `{"type":"user.deleted","data":null}`,
		"data of another kind":   `{"type":"user.deleted","data":[]}`,
		"text as timestamp":      `{"type":"user.deleted","data":{},"timestamp":"soon"}`,
		"negative timestamp":     `{"type":"user.deleted","data":{},"timestamp":-1}`,
		"broken timestamp":       `{"type":"user.deleted","data":{},"timestamp":1.5}`,
		"timestamp out of range": `{"type":"user.deleted","data":{},"timestamp":1e300}`,
		"not UTF-8":              "{\"type\":\"user.deleted\",\"data\":{\"x\":\"\xff\"}}",
		"NUL":                    "\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := receive(body)
			require.Equal(t, clerksync.StateQuarantined, d.State)
			require.NotEmpty(t, d.Reason)
			require.NotContains(t, string(d.Body), "\x00")
			require.Equal(t, strings.ToValidUTF8(string(d.Body), "?"), string(d.Body))
		})
	}
}

func TestDecode_ErrorNamesTheFault(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"organization without id":       `{"type":"organization.created","data":{}}`,
		"organization with a user's id": `{"type":"organization.created","data":{"id":"user_1"}}`,
		"prefix alone":                  `{"type":"organization.created","data":{"id":"org_"}}`,
		"membership without user":       `{"type":"organizationMembership.created","data":{"id":"orgmem_1","role":"org:admin","organization":{"id":"org_a"}}}`,
		"membership without role":       `{"type":"organizationMembership.created","data":{"id":"orgmem_1","organization":{"id":"org_a"},"public_user_data":{"user_id":"user_1"}}}`,
		"permissions of another kind":   `{"type":"organizationMembership.created","data":{"id":"orgmem_1","role":"org:admin","permissions":"all","organization":{"id":"org_a"},"public_user_data":{"user_id":"user_1"}}}`,
		"banned of another kind":        `{"type":"user.updated","data":{"id":"user_1","banned":"yes"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, known, err := clerksync.Decode(receive(body))
			require.True(t, known)
			require.ErrorIs(t, err, clerksync.ErrUndecodable)
		})
	}
}

func TestDecode_UnknownEventsAreNotNeeded(t *testing.T) {
	t.Parallel()
	for _, eventType := range []string{"session.created", "session.pending", "roleSet.updated", "organization", "organization.", "email.created"} {
		d := receive(`{"type":"` + eventType + `","data":{"whatever":1}}`)
		require.Equal(t, clerksync.StateIgnored, d.State)
		_, known, err := clerksync.Decode(d)
		require.NoError(t, err)
		require.False(t, known, eventType)
	}
}

func TestUser_IdentifierIsThePrimaryOne(t *testing.T) {
	t.Parallel()
	const mails = `"email_addresses":[{"id":"idn_1","email_address":"old@callmine.test"},{"id":"idn_2","email_address":"new@callmine.test"}]`
	const phones = `"phone_numbers":[{"id":"idn_3","phone_number":"+15550100"}]`
	for name, tc := range map[string]struct{ members, want string }{
		"the second address": {mails + `,"primary_email_address_id":"idn_2"`, "new@callmine.test"},
		"mail before phone":  {mails + `,"primary_email_address_id":"idn_1",` + phones + `,"primary_phone_number_id":"idn_3"`, "old@callmine.test"},
		"phone only":         {`"email_addresses":[],"primary_email_address_id":null,` + phones + `,"primary_phone_number_id":"idn_3"`, "+15550100"},
		"username only":      {`"username":"kim"`, "kim"},
		"no primary":         {mails + `,"username":"kim"`, "kim"},
		"dangling primary":   {mails + `,"primary_email_address_id":"idn_9"`, ""},
		"nothing":            {`"username":null`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := decode(t, `{"type":"user.updated","data":{"id":"user_1",`+tc.members+`}}`).Users[0]
			require.True(t, user.Identifier.Written())
			if tc.want == "" {
				require.Nil(t, user.Identifier.Value)
			} else {
				require.Equal(t, tc.want, *user.Identifier.Value)
			}
		})
	}
}

func TestUser_IdentifierStaysIfAbsent(t *testing.T) {
	t.Parallel()
	user := decode(t, `{"type":"user.updated","data":{"id":"user_1","banned":true}}`).Users[0]
	require.False(t, user.Identifier.Written())
}

func TestDecode_TextsFitPostgres(t *testing.T) {
	t.Parallel()
	org := decode(t, organizationBody(`,"name":"a\u0000b\ud800c","public_metadata":{"k":"\u0000"}`)).Organizations[0]
	require.Equal(t, "a\uFFFDb\uFFFDc", org.Name.Value)
	require.JSONEq(t, `{"k":"\u0000"}`, string(org.PublicMetadata.Value), "metadata is kept as it came")
}

func TestDecode_JSONMembersAreCaseSensitive(t *testing.T) {
	t.Parallel()
	org := decode(t, organizationBody(`,"name":"right","Name":"wrong","NAME":1`)).Organizations[0]
	require.Equal(t, "right", org.Name.Value)
}

func TestInvitation_URLIsNeverKept(t *testing.T) {
	t.Parallel()
	const secret = "ticket=opensesame"
	for name, body := range map[string]string{
		"whole":           `{"type":"organizationInvitation.created","data":{"id":"orginv_1","url" : "https://x.test?` + secret + `","name":"\"url\":\"kept\""}}`,
		"nested":          `{"type":"organizationInvitation.created","data":{"data":{"url":"https://x.test?\"` + secret + `"}}}`,
		"other invite":    `{"type":"invitation.created","data":{"url":"https://x.test?` + secret + `"}}`,
		"broken off":      `{"type":"organizationInvitation.created","data":{"url":"https://x.test?` + secret,
		"no type at all":  `{"data":{"url":"https://x.test?` + secret + `"}}`,
		"not even object": `["url":"https://x.test?` + secret + `"]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotContains(t, string(receive(body).Body), secret)
		})
	}
	const other = `{"type":"organization.created","data":{"id":"org_a","url":"https://x.test"}}`
	require.Equal(t, []byte(other), receive(other).Body, "other events stay as they are") //nolint:testifylint // byte for byte
}

func TestNewDelivery_NamesSubjectAndWorkspace(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][2]string{
		`{"type":"organization.deleted","data":{"id":"org_a"}}`:                                            {"org_a", "org_a"},
		`{"type":"organizationMembership.created","data":{"id":"orgmem_1","organization":{"id":"org_a"}}}`: {"orgmem_1", "org_a"},
		`{"type":"organizationInvitation.created","data":{"id":"orginv_1","organization_id":"org_a"}}`:     {"orginv_1", "org_a"},
		`{"type":"user.created","data":{"id":"user_1"}}`:                                                   {"user_1", ""},
		`{"type":"email.created","data":{"id":7}}`:                                                         {"", ""},
	} {
		d := receive(body)
		require.Equal(t, want, [2]string{d.ObjectID, d.OrganizationID}, body)
	}
}

func TestMembership_LegacyRoleKeysAreReadAsTodays(t *testing.T) {
	t.Parallel()
	for legacy, want := range map[string]string{"admin": "org:admin", "basic_member": "org:member", "org:guest": "org:guest"} {
		pair := `"organization":{"id":"org_a"},"public_user_data":{"user_id":"user_1"}`
		member := decode(t, `{"type":"organizationMembership.created","data":{"id":"orgmem_1","role":"`+legacy+`",`+pair+`}}`)
		require.Equal(t, want, member.Memberships[0].Role.Value)
		invited := decode(t, `{"type":"organizationInvitation.created","data":{"id":"orginv_1","role":"`+legacy+`","organization_id":"org_a"}}`)
		require.Equal(t, want, invited.Invitations[0].Role.Value)
		role := decode(t, `{"type":"role.created","data":{"id":"role_1","key":"`+legacy+`"}}`)
		require.Equal(t, want, role.Roles[0].Key.Value)
		require.Equal(t, map[string][]int64{want: {t0}}, role.Roles[0].Keys)
	}
}

func TestInvitation_OrganizationInEitherPlace(t *testing.T) {
	t.Parallel()
	const public = `"public_organization_data":{"id":"org_a","name":"North"}`
	for name, members := range map[string]string{
		"in data":           `,"organization_id":"org_a",` + public,
		"in data.data":      `,"organization_id":"org_a","data":{` + public + `}`,
		"without its id":    `,` + public,
		"by its id alone":   `,"organization_id":"org_a"`,
		"nothing but inner": `,"data":{` + public + `}`,
	} {
		facts := decode(t, `{"type":"organizationInvitation.created","data":{"id":"orginv_1"`+members+`}}`)
		require.Equal(t, "org_a", facts.Invitations[0].OrganizationID, name)
		require.Equal(t, "org_a", facts.Organizations[0].ID, name)
	}
	_, _, err := clerksync.Decode(receive(`{"type":"organizationInvitation.created","data":{"id":"orginv_1"}}`))
	require.ErrorIs(t, err, clerksync.ErrUndecodable)
}

package sync_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestInstant_OneRuleReadsAll holds for the instants of the envelope and of the object. Garbage in
// the envelope sets the delivery aside with the reason. An instant of the object that can't be read
// writes nothing.
func TestInstant_OneRuleReadsAll(t *testing.T) {
	t.Parallel()
	const at, early = 1_790_000_000_000, 1_790_000_000_000 - 5_000
	signedAt := time.UnixMilli(early)
	for written, want := range map[string]int64{
		"1790000000000": at, "1790000000": at, "1.79e12": at, "1790000000000.0": at,
		`"1790000000000"`: at, `"1790000000"`: at, `"2026-09-21T14:13:20Z"`: at, `"2026-09-21T16:13:20.000+02:00"`: at,
		`"2026-09-21T14:13:20.250Z"`: at + 250, `"1970-01-01T00:00:01Z"`: 1000, "1": 1000, `"0001"`: 1000,
		"0": early, "null": early, "": early, // none: the signature's
		`"253402300799999"`: 253402300799999, `"9999-12-31T23:59:59.999Z"`: 253402300799999,
		`""`: -1, `" 1790000000000"`: -1, `"-1790000000000"`: -1, "-1": -1, "1.5": -1, "1e300": -1, `"1e12"`: -1, `"0x10"`: -1,
		`"99999999999999999999999"`: -1, "99999999999999999999999": -1, `"253402300800000"`: -1, `"10000-01-01T00:00:00Z"`: -1,
		`"1969-12-31T23:59:59Z"`: -1, `"2026-09-21"`: -1, `"yesterday"`: -1, "true": -1, "[]": -1, "{}": -1, "[1790000000000]": -1,
		`"\u0661\u0667"`: -1, `"1790000000000\u0000"`: -1, `"NaN"`: -1, `"Infinity"`: -1,
	} {
		member := `"timestamp":` + written + `,`
		if written == "" {
			member = ""
		}
		body := `{` + member + `"type":"user.updated","instance_id":"ins_1","data":{"id":"user_1","first_name":"Kim"}}`
		d := clerksync.NewDelivery("msg_1", []byte(body), signedAt, signedAt)
		if want < 0 {
			require.Equal(t, clerksync.StateQuarantined, d.State, written)
			require.Contains(t, d.Reason, `member "timestamp" is not an instant`)
			require.NotNil(t, d.Body, "it can be replayed by a version that reads it")
		} else {
			require.Equal(t, clerksync.StateReceived, d.State, written)
			occurred := want
			if time.UnixMilli(want).After(signedAt.Add(5 * time.Minute)) { // no event is later than its message's signature
				occurred = signedAt.UnixMilli()
			}
			require.Equal(t, occurred, d.OccurredAt, written)
		}
		if written == "" {
			continue
		}
		body = `{"timestamp":` + strconv.Itoa(early) + `,"type":"organizationMembership.created","data":{"id":"orgmem_1","role":"org:member",
			"created_at":` + written + `,"updated_at":` + written + `,"organization":{"id":"org_1"},"public_user_data":{"user_id":"user_1"}}}`
		d = clerksync.NewDelivery("msg_2", []byte(body), signedAt, signedAt)
		facts, _, err := clerksync.Decode(d)
		require.NoError(t, err, written)
		require.Len(t, facts.Memberships, 1)
		m := facts.Memberships[0]
		switch {
		case want < 0:
			require.False(t, m.CreatedAt.Written(), written)
			require.EqualValues(t, early, m.Role.Version.UpdatedAt, "the envelope's stands in: %s", written)
		case want > early+60_000: // a date from the future isn't believed
			require.False(t, m.CreatedAt.Written(), written)
			require.True(t, m.Role.Version.Undated, written)
		case want != early:
			require.Equal(t, want, m.CreatedAt.Value, written)
			require.Equal(t, want, m.Role.Version.UpdatedAt, written)
		}
	}
}

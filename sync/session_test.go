package sync_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// sessionBody is the event of a session's end as Clerk sends it, shortened.
func sessionBody(eventType string) string {
	return `{"data":{"abandon_at":1789104000000,"actor":null,"client_id":"client_1","id":"sess_1","latest_activity":{"object":"session_activity",` +
		`"ip_address":"203.0.113.9","city":"Aarhus"},"object":"session","status":"ended","updated_at":1786512000000,"user":{"id":"user_1",` +
		`"first_name":"Kim","unsafe_metadata":{"pin":1234}},"user_id":"user_1"},"event_attributes":{"http_request":{"client_ip":"203.0.113.7",` +
		`"user_agent":"Mozilla/5.0"}},"object":"event","timestamp":1786512000030,` +
		`"type":"` + eventType + `"}`
}

func TestSession_EachEndIsFactAndRevokes(t *testing.T) {
	t.Parallel()
	for _, eventType := range []clerksync.EventType{clerksync.SessionRevoked, clerksync.SessionEnded, clerksync.SessionRemoved} {
		d := receive(sessionBody(string(eventType)))
		require.Equal(t, clerksync.StateReceived, d.State)
		require.Equal(t, clerksync.DoesRevoke, d.Urgency)
		facts, known, err := clerksync.Decode(d)
		require.NoError(t, err)
		require.True(t, known)
		require.Equal(t, clerksync.Facts{Subject: "sess_1", EndedSession: clerksync.EndedSession{ID: "sess_1", UserID: "user_1"}}, facts)

		deliveries := []clerksync.Delivery{d}
		changes := clerksync.NewMirror().ApplyAll(deliveries, []clerksync.Facts{facts})
		require.Equal(t, []clerksync.EndedSession{{ID: "sess_1", UserID: "user_1"}}, changes.EndedSessions)
		require.Equal(t, clerksync.StateApplied, deliveries[0].State)
		require.Empty(t, changes.Entries)
	}
}

// TestSession_LedgerKeepsNoPerson: the body stays until the end is applied, without what the mirror
// never reads.
func TestSession_LedgerKeepsNoPerson(t *testing.T) {
	t.Parallel()
	for _, eventType := range []string{"session.ended", ""} { // an unreadable type might be that of a session
		body := string(receive(sessionBody(eventType)).Body)
		require.Contains(t, body, "sess_1")
		for _, private := range []string{"Kim", "1234", "203.0.113.9", "Aarhus", "203.0.113.7", "Mozilla"} {
			require.NotContains(t, body, private)
		}
	}
}

func TestSession_NeedsASessionsID(t *testing.T) {
	t.Parallel()
	for _, data := range []string{`{}`, `{"id":null}`, `{"id":7}`, `{"id":""}`, `{"id":"sess_"}`, `{"id":"user_1"}`} {
		_, known, err := clerksync.Decode(receive(`{"type":"session.revoked","data":` + data + `}`))
		require.True(t, known)
		require.ErrorIs(t, err, clerksync.ErrUndecodable, data)
	}
	for _, user := range []string{`7`, `null`, `"org_1"`, `"user_\u0000"`} {
		facts, _, err := clerksync.Decode(receive(`{"type":"session.revoked","data":{"id":"sess_1","updated_at":"?","status":7,"user":"?","user_id":` + user + `}}`))
		require.NoError(t, err, "nothing but the id counts")
		require.Equal(t, clerksync.EndedSession{ID: "sess_1"}, facts.EndedSession)
	}
}

package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAudit_OriginOfWhatClerkAttributesToNobody: an entry without an actor says from where the
// change at Clerk came, while its delivery's body is kept. No other entry does: what was asked for
// through Rolecall came from Rolecall's own server.
func TestAudit_OriginOfWhatClerkAttributesToNobody(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	exec := func(sql string) {
		_, err := b.pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	exec(`INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state)
		SELECT 'msg_' || n, 'organizationMembership.updated', '', 'org_1', '', now(), now(), body, '', 'applied' FROM (VALUES
			(1, '{"event_attributes":{"http_request":{"client_ip":"203.0.113.20","user_agent":"Mozilla/5.0 \u202e"}}}'),
			(2, '{"event_attributes":{"http_request":{"client_ip":"not an address","user_agent":"` + strings.Repeat("é", 400) + `"}}}'),
			(3, '{"event_attributes":{"http_request":{"client_ip":"2001:DB8::20"}}}'),
			(4, '{"event_attributes":{"http_request":{"client_ip":"","user_agent":""}}}'),
			(5, '{"event_attributes":"[redacted]"}'),
			(6, NULL),
			(7, '{"event_attributes":{"http_request":{"client_ip":"192.0.2.1","user_agent":"Rolecall"}}}')
		) AS kept (n, body)`)
	exec(`INSERT INTO rolecall.audit_log (organization_id, actor, action, target, at, cause)
		SELECT 'org_1', CASE WHEN n = 7 THEN 'user_admin' END, 'member.role_changed', 'user_member', '2026-01-01'::timestamptz - n * interval '1 second', cause
		FROM unnest(ARRAY['msg_1', 'msg_2', 'msg_3', 'msg_4', 'msg_5', 'msg_6', 'msg_7', 'sweep_8', 'msg_unknown']) WITH ORDINALITY AS c (cause, n)`)
	agent := strings.Repeat("é", 256)
	want := []*originBody{
		{ClientIP: new("203.0.113.20"), UserAgent: new("Mozilla/5.0 \u202e")},
		{UserAgent: &agent},
		{ClientIP: new("2001:db8::20")},
		nil, nil, nil, nil, nil, nil,
	}
	var got []*originBody
	for _, e := range answerOf[page[auditBody]](t, b.get("user_admin", auditOfOne)).Data {
		got = append(got, e.Origin)
	}
	require.Equal(t, want, got)
	require.Equal(t, http.StatusForbidden, b.get("user_member", auditOfOne).status)

	lines := strings.Split(string(b.get("user_admin", auditOfOne+"/export").body), "\n")
	require.Contains(t, lines[0], `"origin":{"client_ip":"203.0.113.20"`)
	require.Contains(t, lines[6], `"origin":null`)
	lines = strings.Split(string(b.get("user_admin", auditOfOne+"/export?format=csv").body), "\n")
	require.True(t, strings.HasSuffix(lines[1], ",203.0.113.20,Mozilla/5.0 \u202e"), lines[1])
	require.True(t, strings.HasSuffix(lines[7], "msg_7,,,"), lines[7])
}

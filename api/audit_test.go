package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const auditOfOne = "/v1/workspaces/org_1/audit"

// setupAudit makes org_1 with an admin and a member, and org_2 with another admin. Their logs are
// empty, and number entries from 1.
func setupAudit(t *testing.T, change func(*Config)) *serverBundle {
	t.Helper()
	b := setupServer(t, change)
	b.world.organization("org_1", "One", nil)
	b.world.member("org_1", "user_admin", "org:admin", nil)
	b.world.member("org_1", "user_member", "org:member", nil)
	b.world.organization("org_2", "Two", nil)
	b.world.member("org_2", "user_other", "org:admin", nil)
	_, err := b.pool.Exec(t.Context(), `ALTER TABLE rolecall.audit_log DISABLE TRIGGER USER;
		TRUNCATE rolecall.audit_log, rolecall.audit_heads;
		ALTER TABLE rolecall.audit_log ENABLE TRIGGER USER`)
	require.NoError(t, err)
	return b
}

// append appends an event as a service and requires the status.
func (b *serverBundle) append(workspace, body string, status int, headers ...string) exchange {
	b.tb.Helper()
	x := b.send(serviceToken, http.MethodPost, "/v1/workspaces/"+workspace+"/audit", body, append([]string{"Content-Type", "application/json"}, headers...)...)
	require.Equal(b.tb, status, x.status, "%s", x.body)
	return x
}

// runs appends n entries about reports, by two users in turn, three in each second.
func (b *serverBundle) runs(workspace string, n int) {
	b.tb.Helper()
	for i := range n {
		at := worldBegan().Add(time.Duration(i/3) * time.Second).Format(time.RFC3339Nano)
		b.append(workspace, fmt.Sprintf(`{"actor":"user_%d","action":"report.run","target":"%s_%d","at":%q}`, i%2, workspace, i%5, at), http.StatusCreated)
	}
}

// auditIDs returns the numbers of all entries that a query selects, page by page.
func (b *serverBundle) auditIDs(token string, query url.Values) (ids []int64) {
	b.tb.Helper()
	for {
		body := answerOf[page[auditBody]](b.tb, b.get(token, auditOfOne+"?"+query.Encode()))
		for _, e := range body.Data {
			ids = append(ids, e.ID)
		}
		if body.NextCursor == nil {
			return ids
		}
		query.Set("cursor", *body.NextCursor)
	}
}

func TestAudit_PagesNewestFirst(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	b.runs("org_1", 20)
	b.append("org_1", fmt.Sprintf(`{"action":"plan.changed","target":"org_1","at":%q}`, worldBegan().Add(-time.Hour).Format(time.RFC3339Nano)), http.StatusCreated)
	var want []int64
	for id := int64(20); id >= 1; id-- {
		want = append(want, id)
	}
	want = append(want, 21) // recorded last, happened first
	for _, limit := range []string{"1", "3", "7", "20", "21", "200"} {
		require.Equal(t, want, b.auditIDs("user_admin", url.Values{"limit": {limit}}), limit)
	}
	first := answerOf[page[auditBody]](t, b.get("user_admin", auditOfOne+"?limit=1"))
	require.Equal(t, auditBody{
		ID: 20, At: worldBegan().Add(6 * time.Second), Actor: new("user_1"), Action: "report.run", Target: "org_1_4",
		Before: json.RawMessage("null"), After: json.RawMessage("null"), Cause: "service:billing",
	}, first.Data[0])
	require.Len(t, answerOf[page[auditBody]](t, b.get("user_admin", auditOfOne)).Data, 21, "50 by default")
}

// TestAudit_AppendsMoveNothingBetweenPages appends between the reads of two pages.
func TestAudit_AppendsMoveNothingBetweenPages(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	b.runs("org_1", 10)
	query, ids := url.Values{"limit": {"3"}}, []int64{}
	for {
		body := answerOf[page[auditBody]](t, b.get("user_admin", auditOfOne+"?"+query.Encode()))
		for _, e := range body.Data {
			ids = append(ids, e.ID)
		}
		if body.NextCursor == nil {
			break
		}
		query.Set("cursor", *body.NextCursor)
		b.append("org_1", `{"action":"a.b","target":"newer"}`, http.StatusCreated)
	}
	require.Equal(t, []int64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, ids)
}

func TestAudit_Filters(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	b.runs("org_1", 20)
	b.append("org_1", `{"action":"plan.changed","target":"org_1_1"}`, http.StatusCreated)
	at := func(seconds int) string {
		return worldBegan().Add(time.Duration(seconds) * time.Second).Format(time.RFC3339Nano)
	}
	for name, test := range map[string]struct {
		query url.Values
		want  []int64
	}{
		"actor":             {url.Values{"actor": {"user_1"}, "limit": {"3"}}, []int64{20, 18, 16, 14, 12, 10, 8, 6, 4, 2}},
		"service":           {url.Values{"actor": {"service:billing"}}, []int64{21}},
		"action":            {url.Values{"action": {"plan.changed"}}, []int64{21}},
		"target":            {url.Values{"target": {"org_1_1"}, "limit": {"1"}}, []int64{21, 17, 12, 7, 2}},
		"target and actor":  {url.Values{"target": {"org_1_1"}, "actor": {"user_0"}}, []int64{17, 7}},
		"target and action": {url.Values{"target": {"org_1_1"}, "action": {"plan.changed"}}, []int64{21}},
		"actor and action":  {url.Values{"actor": {"user_0"}, "action": {"plan.changed"}}, nil},
		"since, inclusive":  {url.Values{"since": {at(5)}, "until": {at(3600)}}, []int64{20, 19, 18, 17, 16}},
		"until, exclusive":  {url.Values{"until": {at(1)}}, []int64{3, 2, 1}},
		"all of them":       {url.Values{"since": {at(1)}, "until": {at(6)}, "actor": {"user_0"}, "action": {"report.run"}, "target": {"org_1_1"}}, []int64{17, 7}},
		"time and action":   {url.Values{"action": {"report.run"}, "since": {at(5)}, "until": {at(6)}}, []int64{18, 17, 16}},
		"time and actor":    {url.Values{"actor": {"user_0"}, "since": {at(5)}, "until": {at(6)}}, []int64{17}},
		"time and target":   {url.Values{"target": {"org_1_1"}, "since": {at(3)}, "until": {at(5)}}, []int64{12}},
		"nobody":            {url.Values{"actor": {"user_nobody"}}, nil},
		"part of an action": {url.Values{"action": {"report"}}, nil},
		"a zone":            {url.Values{"until": {"2026-01-02T05:04:06.678+02:00"}}, []int64{3, 2, 1}},
	} {
		require.Equal(t, test.want, b.auditIDs("user_admin", test.query), name)
		if test.query.Has("limit") {
			continue
		}
		lines := b.get("user_admin", auditOfOne+"/export?"+encodeWithout(test.query, "cursor"))
		require.Len(t, strings.Split(strings.TrimSpace(string(lines.body)), "\n"), len(test.want)+1, name)
	}
	for _, query := range []string{
		"actor=", "action=%00", "target=" + strings.Repeat("x", 256), "since=yesterday", "since=", "until=2026-01-02", "until=2026-01-02T05:04:06+02:00",
		"limit=0", "limit=201", "cursor=", "cursor=!", "cursor=MTox%3D", "cursor=" + "eDox", "cursor=LTE6MQ", "cursor=MTow", "cursor=MQ", "page=1", "action=member.remvoed", "actor=a&actor=b",
	} {
		requireProblem(t, b.get("user_admin", auditOfOne+"?"+query), http.StatusBadRequest, "")
	}
	for _, query := range []string{"format=xml", "format=", "limit=5", "cursor=MTox", "since=x", "action=member"} {
		requireProblem(t, b.get("user_admin", auditOfOne+"/export?"+query), http.StatusBadRequest, "")
	}
}

func encodeWithout(query url.Values, name string) string {
	query.Del(name)
	return query.Encode()
}

// TestAudit_TakesItsPermission: members without the permission are refused, and strangers don't
// learn that the log exists.
func TestAudit_TakesItsPermission(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	b.runs("org_1", 1)
	b.runs("org_2", 3)
	b.world.member("org_1", "user_auditor", "org:auditor", map[string]any{"permissions": []string{"audit:read"}})
	b.world.member("org_1", "user_guest", "org:guest", nil)
	b.world.member("org_1", "user_removed", "org:admin", nil)
	b.world.remove("org_1", "user_removed")
	b.world.member("org_1", "user_banned", "org:admin", nil)
	b.world.account("user_banned", map[string]any{"banned": true})
	for _, target := range []string{auditOfOne, auditOfOne + "/export", auditOfOne + "/export?format=csv"} {
		for _, reader := range []string{"user_admin", "user_auditor"} {
			require.Equal(t, http.StatusOK, b.get(reader, target).status)
			require.Equal(t, http.StatusOK, b.get(serviceToken, target, headerOnBehalfOf, reader).status)
		}
		requireProblem(t, b.get("user_member", target), http.StatusForbidden, clerksync.ReasonPermissionMissing)
		requireProblem(t, b.get("user_guest", target), http.StatusForbidden, clerksync.ReasonUnknownRole)
		requireProblem(t, b.get("user_banned", target), http.StatusForbidden, clerksync.ReasonUserBanned)
		for _, stranger := range []string{"user_other", "user_removed", "user_nobody"} {
			require.Equal(t, string(b.get(stranger, "/v1/workspaces/org_nothing").body), string(b.get(stranger, target).body))
		}
		requireProblem(t, b.get("", target), http.StatusUnauthorized, "")
		requireProblem(t, b.get(serviceToken, target), http.StatusBadRequest, "")
	}
	for _, reader := range []string{"user_admin", "user_member"} {
		x := b.send(reader, http.MethodPost, auditOfOne, `{"action":"a.b","target":"t"}`, "Content-Type", "application/json")
		requireProblem(t, x, http.StatusForbidden, "")
	}
}

// TestAudit_NeverCrossesWorkspaces holds for every query, also with a cursor of another workspace.
func TestAudit_NeverCrossesWorkspaces(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	b.runs("org_1", 10)
	b.runs("org_2", 10)
	cursor := *answerOf[page[auditBody]](t, b.get("user_other", "/v1/workspaces/org_2/audit?limit=5")).NextCursor
	for _, query := range []string{
		"", "?cursor=" + cursor, "?target=org_2_1", "?actor=user_1", "?action=report.run", "?target=org_2_1&cursor=" + cursor,
		"/export", "/export?format=csv", "/export?target=org_2_1", "/export?actor=user_1",
	} {
		x := b.get("user_admin", auditOfOne+query)
		require.Equal(t, http.StatusOK, x.status)
		require.NotContains(t, string(x.body), "org_2")
	}
	require.Len(t, answerOf[page[auditBody]](t, b.get("user_admin", auditOfOne+"?cursor="+cursor)).Data, 5, "a position like any other")
}

func TestAppendAudit_RecordsValidEntriesOnly(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, func(c *Config) { c.Now = func() time.Time { return worldBegan().Add(time.Hour) } })
	soon := worldBegan().Add(time.Hour + 5*time.Minute)
	x := b.append("org_1", fmt.Sprintf(`{"actor":"user_member","action":"report.run_all","target":"r","data":{ "b":1, "a":"é<\u0000" },"at":%q}`,
		soon.Format(time.RFC3339Nano)), http.StatusCreated)
	require.JSONEq(t, fmt.Sprintf(`{"id":1,"at":%q,"actor":"user_member","action":"report.run_all","target":"r","before":null,"after":null,
		"data":{"b":1,"a":"é<\u0000"},"cause":"service:billing","origin":null}`, soon.Format(time.RFC3339Nano)), string(x.body))
	require.NotEmpty(t, x.header.Get(headerRevision))
	before := time.Now().Add(-time.Minute)
	var entry auditBody
	require.NoError(t, json.Unmarshal(b.append("org_1", `{"action":"a.b.c_1","target":"r","actor":null,"data":null,"at":null}`, http.StatusCreated).body, &entry))
	require.Equal(t, new("service:billing"), entry.Actor)
	require.True(t, entry.At.After(before))
	require.Nil(t, entry.Data)
	b.append("org_1", `{"action":"a.b","target":"r","at":"2026-01-02T03:04:05.123456789+02:00"}`, http.StatusCreated)
	listed := answerOf[page[auditBody]](t, b.get("user_admin", auditOfOne)).Data
	require.Equal(t, time.Date(2026, 1, 2, 1, 4, 5, 123_456_000, time.UTC), listed[2].At, "to the microsecond, never later")

	large := func(n int) string {
		return fmt.Sprintf(`{"action":"a.b","target":"r","data":{"x":%q}}`, strings.Repeat("x", n-len(`{"x":""}`)))
	}
	b.append("org_1", large(16<<10), http.StatusCreated)
	deep := func(n int) string {
		return `{"action":"a.b","target":"r","data":` + strings.Repeat(`{"a":`, n-1) + `{"\"{":"[[[["}` + strings.Repeat("}", n-1) + "}"
	}
	b.append("org_1", deep(100), http.StatusCreated)
	b.append("org_1", `{"action":"a.b","target":"r","data":{"rows":123456789012345678901234567890,"share":1.5e-400,"name":"1e999"}}`, http.StatusCreated)
	for name, body := range map[string]string{
		"no object": `[]`, "null": `null`, "empty": ``, "two": `{"action":"a.b","target":"r"}{}`, "unknown member": `{"action":"a.b","target":"r","before":{}}`,
		"no action": `{"target":"r"}`, "no dot": `{"action":"run","target":"r"}`, "upper case": `{"action":"Report.run","target":"r"}`,
		"empty part": `{"action":"report.","target":"r"}`, "a digit first": `{"action":"report.1","target":"r"}`, "line break": `{"action":"report.run\n","target":"r"}`,
		"long action": `{"action":"a.` + strings.Repeat("b", 254) + `","target":"r"}`,
		"workspace":   `{"action":"workspace.exploded","target":"r"}`, "member": `{"action":"member.removed","target":"r"}`,
		"operator": `{"action":"operator.signed_in","target":"r"}`, "operator as actor": `{"actor":"operator:ada","action":"report.run","target":"r"}`,
		"invitation": `{"action":"invitation.x","target":"r"}`, "user": `{"action":"user.deleted","target":"r"}`, "role": `{"action":"role.a.b","target":"r"}`,
		"no target": `{"action":"a.b"}`, "empty target": `{"action":"a.b","target":""}`, "NUL target": `{"action":"a.b","target":"\u0000"}`,
		"long target": `{"action":"a.b","target":"` + strings.Repeat("x", 256) + `"}`,
		"actor":       `{"action":"a.b","target":"r","actor":"service:other"}`, "empty actor": `{"action":"a.b","target":"r","actor":""}`,
		"half an actor": `{"action":"a.b","target":"r","actor":"user_"}`, "NUL actor": `{"action":"a.b","target":"r","actor":"user_\u0000"}`,
		"data list": `{"action":"a.b","target":"r","data":[]}`, "data text": `{"action":"a.b","target":"r","data":"{}"}`,
		"a number too large": `{"action":"a.b","target":"r","data":{"rows":1e999}}`, "one within": `{"action":"a.b","target":"r","data":{"rows":[{"n":-1e400}]}}`,
		"data": large(16<<10 + 1), "deep data": deep(101), "data not UTF-8": "{\"action\":\"a.b\",\"target\":\"r\",\"data\":{\"x\":\"\xff\"}}",
		"future": fmt.Sprintf(`{"action":"a.b","target":"r","at":%q}`, soon.Add(time.Second).Format(time.RFC3339)),
		"at":     `{"action":"a.b","target":"r","at":"now"}`, "before 1970": `{"action":"a.b","target":"r","at":"1969-12-31T23:59:59Z"}`, "number": `{"action":"a.b","target":"r","at":1}`,
	} {
		t.Log(name)
		b.append("org_1", body, http.StatusBadRequest)
	}
	for _, user := range []string{"user_member", ""} { // the body alone names the user
		b.append("org_1", `{"action":"a.b","target":"r"}`, http.StatusBadRequest, headerOnBehalfOf, user)
	}
	b.append("org_1", large(65<<10), http.StatusRequestEntityTooLarge)
	require.Equal(t, http.StatusUnsupportedMediaType, b.send(serviceToken, http.MethodPost, auditOfOne, `{}`, "Content-Type", "text/plain").status)
	b.append("org_unknown", `{"action":"a.b","target":"r"}`, http.StatusNotFound)
	b.append("%00", `{"action":"a.b","target":"r"}`, http.StatusNotFound)
	b.world.deleteOrganization("org_2")
	b.append("org_2", `{"action":"a.b","target":"r"}`, http.StatusNotFound)
	require.Len(t, answerOf[page[auditBody]](t, b.get("user_admin", auditOfOne)).Data, 6)
}

// TestAppendAudit_IsRepeatableWithAKey: a key belongs to its workspace.
func TestAppendAudit_IsRepeatableWithAKey(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	const body = `{"action":"a.b","target":"r"}`
	first := b.append("org_1", body, http.StatusCreated, headerKey, "k 1")
	again := b.append("org_1", body, http.StatusCreated, headerKey, "k 1")
	require.Equal(t, string(first.body), string(again.body))
	require.Empty(t, first.header.Get(headerReplayed))
	require.Equal(t, "true", again.header.Get(headerReplayed))
	b.append("org_1", `{"action":"a.c","target":"r"}`, http.StatusUnprocessableEntity, headerKey, "k 1")
	b.append("org_2", body, http.StatusCreated, headerKey, "k 1")
	b.append("org_1", body, http.StatusCreated, headerKey, "k 2")
	b.append("org_1", body, http.StatusBadRequest, headerKey, "")
	b.append("org_1", body, http.StatusBadRequest, headerKey, "é")
	require.Len(t, answerOf[page[auditBody]](t, b.get("user_admin", auditOfOne)).Data, 2)
}

// TestAudit_KeepsAuthorsWhoAreGone: an author stays after leaving, and after the user or the
// workspace is deleted.
func TestAudit_KeepsAuthorsWhoAreGone(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	b.append("org_1", `{"actor":"user_member","action":"report.run","target":"r"}`, http.StatusCreated)
	for _, happens := range []func(){
		func() { b.world.remove("org_1", "user_member") }, func() { b.world.deleteUser("user_member") },
	} {
		happens()
		body := answerOf[page[auditBody]](t, b.get("user_admin", auditOfOne+"?actor=user_member"))
		require.Len(t, body.Data, 1)
		require.Equal(t, "report.run", body.Data[0].Action)
	}
	b.world.deleteOrganization("org_1")
	entries, err := store.AuditEntries(t.Context(), b.pool, store.AuditQuery{OrganizationID: "org_1", Actor: "user_member"}, 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

// TestAppendAudit_LockedLogLeavesConnectionsToOthers has thirty appends wait for one workspace's
// log. The pool has two connections.
func TestAppendAudit_LockedLogLeavesConnectionsToOthers(t *testing.T) {
	t.Parallel()
	two, err := pgxpool.ParseConfig(pgtest.URL(t))
	require.NoError(t, err)
	two.MaxConns = 2
	var events *pgxpool.Pool
	b := setupAudit(t, func(c *Config) {
		two.ConnConfig.Database = c.DB.(*pgxpool.Pool).Config().ConnConfig.Database
		events, err = pgxpool.NewWithConfig(t.Context(), two)
		require.NoError(t, err)
		c.EventDB = events
	})
	t.Cleanup(events.Close)
	b.runs("org_1", 1)
	release := b.db.Hold(t, "SELECT FROM rolecall.audit_heads WHERE organization_id = 'org_1' FOR UPDATE")
	var waiting sync.WaitGroup
	for range 30 {
		waiting.Go(func() {
			b.send(serviceToken, http.MethodPost, auditOfOne, `{"action":"report.run","target":"a"}`, "Content-Type", "application/json")
		})
	}
	require.Eventually(t, func() bool { return events.Stat().AcquiredConns() == 1 }, 20*time.Second, time.Millisecond)
	for range 10 {
		b.append("org_2", `{"action":"report.run","target":"b"}`, http.StatusCreated)
		require.LessOrEqual(t, events.Stat().AcquiredConns(), int32(1))
	}
	release()
	waiting.Wait()
	b.logs.take() // some may have timed out
}

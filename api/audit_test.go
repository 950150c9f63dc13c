package api

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const auditOfOne = "/v1/workspaces/org_1/audit"

// setupAudit makes org_1 with an admin and a member, and org_2 with another admin.
func setupAudit(t *testing.T, change func(*Config)) *serverBundle {
	t.Helper()
	b := setupServer(t, change)
	b.world.organization("org_1", "One", nil)
	b.world.member("org_1", "user_admin", "org:admin", nil)
	b.world.member("org_1", "user_member", "org:member", nil)
	b.world.organization("org_2", "Two", nil)
	b.world.member("org_2", "user_other", "org:admin", nil)
	return b
}

// append appends an event as a service and requires the status.
func (b *serverBundle) append(workspace, body string, status int, headers ...string) exchange {
	b.tb.Helper()
	x := b.send(serviceToken, http.MethodPost, "/v1/workspaces/"+workspace+"/audit", body, append([]string{"Content-Type", "application/json"}, headers...)...)
	require.Equal(b.tb, status, x.status, "%s", x.body)
	return x
}

// runs appends n reports that were run by turns by two users, three in each second.
func (b *serverBundle) runs(workspace string, n int) {
	b.tb.Helper()
	for i := range n {
		at := worldBegan().Add(time.Duration(i/3) * time.Second).Format(time.RFC3339Nano)
		b.append(workspace, fmt.Sprintf(`{"actor":"user_%d","action":"report.run","target":"%s_%d","at":%q}`, i%2, workspace, i%5, at), http.StatusCreated)
	}
}

// ids returns the numbers of all entries that a query selects, page by page.
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

func TestAuditInPagesTheNewestFirst(t *testing.T) {
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

// TestPagesOfTheAuditLogBearAppends: what is recorded between two pages moves nothing from one to the other.
func TestPagesOfTheAuditLogBearAppends(t *testing.T) {
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

func TestAuditFilters(t *testing.T) {
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
		"limit=0", "limit=201", "cursor=", "cursor=!", "cursor=MTox%3D", "cursor=" + "eDox", "cursor=LTE6MQ", "cursor=MTow", "cursor=MQ", "page=1", "actor=a&actor=b",
	} {
		requireProblem(t, b.get("user_admin", auditOfOne+"?"+query), http.StatusBadRequest, "")
	}
	for _, query := range []string{"format=xml", "format=", "limit=5", "cursor=MTox", "since=x"} {
		requireProblem(t, b.get("user_admin", auditOfOne+"/export?"+query), http.StatusBadRequest, "")
	}
}

func encodeWithout(query url.Values, name string) string {
	query.Del(name)
	return query.Encode()
}

// TestAuditIsForThoseWhoMayReadIt: members without the permission are refused, and nobody else learns that it is there.
func TestAuditIsForThoseWhoMayReadIt(t *testing.T) {
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
			require.Equal(t, string(b.get(stranger, "/v1/nowhere").body), string(b.get(stranger, target).body))
		}
		requireProblem(t, b.get("", target), http.StatusUnauthorized, "")
		requireProblem(t, b.get(serviceToken, target), http.StatusBadRequest, "")
	}
	for _, reader := range []string{"user_admin", "user_member"} {
		x := b.send(reader, http.MethodPost, auditOfOne, `{"action":"a.b","target":"t"}`, "Content-Type", "application/json")
		requireProblem(t, x, http.StatusForbidden, "")
	}
}

// TestAuditNeverCrossesWorkspaces: whatever is asked for, also with a cursor of another workspace.
func TestAuditNeverCrossesWorkspaces(t *testing.T) {
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

func TestServicesAppend(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, func(c *Config) { c.Now = func() time.Time { return worldBegan().Add(time.Hour) } })
	soon := worldBegan().Add(time.Hour + 5*time.Minute)
	x := b.append("org_1", fmt.Sprintf(`{"actor":"user_member","action":"report.run_all","target":"r","data":{ "b":1, "a":"é<\u0000" },"at":%q}`,
		soon.Format(time.RFC3339Nano)), http.StatusCreated)
	require.JSONEq(t, fmt.Sprintf(`{"id":1,"at":%q,"actor":"user_member","action":"report.run_all","target":"r","before":null,"after":null,
		"data":{"b":1,"a":"é<\u0000"},"cause":"service:billing"}`, soon.Format(time.RFC3339Nano)), string(x.body))
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
	for _, user := range []string{"user_member", ""} { // who did it is the actor, and nobody else
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

// TestAppendingIsRepeatable with a key, for one workspace.
func TestAppendingIsRepeatable(t *testing.T) {
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

// TestAuthorsStay after they leave, are deleted, or the workspace is.
func TestAuthorsStay(t *testing.T) {
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

func TestExportIsWholeAndSaysSo(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	_, err := b.pool.Exec(t.Context(), `INSERT INTO rolecall.audit_log (organization_id, actor, action, target, after, at, cause)
		SELECT 'org_1', NULL, 'member.joined', 'user_' || n, '{"role":"org:member"}', '2026-01-01'::timestamptz + n / 2 * interval '1 second', 'msg_1'
		FROM generate_series(1, 1000) n`)
	require.NoError(t, err)
	x := b.get("user_admin", auditOfOne+"/export")
	require.Equal(t, `attachment; filename="audit.jsonl"`, x.header.Get("Content-Disposition"))
	lines := strings.Split(strings.TrimSuffix(string(x.body), "\n"), "\n")
	require.Len(t, lines, 1001)
	listed := b.auditIDs("user_admin", url.Values{"limit": {"200"}})
	for i, id := range listed {
		var e auditBody
		require.NoError(t, json.Unmarshal([]byte(lines[i]), &e))
		require.Equal(t, id, e.ID)
	}
	require.Equal(t, `{"complete":true,"entries":1000}`, lines[1000])

	records, err := csv.NewReader(strings.NewReader(string(b.get("user_admin", auditOfOne+"/export?format=csv").body))).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 1002)
	require.Equal(t, []string{"id", "at", "actor", "action", "target", "before", "after", "data", "cause"}, records[0])
	require.Equal(t, []string{"1000", "2026-01-01T00:08:20Z", "", "member.joined", "user_1000", "", `{"role":"org:member"}`, "", "msg_1"}, records[1])
	require.Equal(t, []string{"complete", "1000", "", "", "", "", "", "", ""}, records[1001])

	none := b.get("user_admin", auditOfOne+"/export?actor=user_nobody")
	require.Equal(t, "{\"complete\":true,\"entries\":0}\n", string(none.body))
}

// TestNoCellOfAnExportBeginsAFormula, also where a spreadsheet separates cells by semicolons or tabs (as Excel does in most of
// Europe, where a quotation mark within what it takes for a cell means nothing), and drops what nobody sees before it looks. What
// isn't one comes back as it was from whoever reads CSV.
func TestNoCellOfAnExportBeginsAFormula(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	tests := []struct{ target, want string }{
		{"=1+1", "'=1+1"},
		{"+1", "'+1"},
		{"-1", "'-1"},
		{"@SUM(A1)", "'@SUM(A1)"},
		{"＝1", "'＝1"},
		{"＠a", "'＠a"},
		{"==1", "'==1"},
		{" =1", " '=1"},
		{"\t=1", "\t'=1"},
		{"\r=1", "\r'=1"},
		{"\n=1", "\n'=1"},
		{"\v=1", "\v'=1"},
		{"\u00a0=1", "\u00a0'=1"},
		{"\ufeff=1", "\ufeff'=1"},
		{"\u200b =1", "\u200b '=1"},
		{`"=1"`, `"'=1"`},
		{"a;=cmd|'/c calc'!A0", "a;'=cmd|'/c calc'!A0"},
		{"a\t+1", "a\t'+1"},
		{"a\n-1", "a\n'-1"},
		{"=1;;\t =2", "'=1;;\t '=2"},
		{`a;"=1"`, `a;"'=1"`},
		{`a"b,c`, `a"b,c`},
		{"two\nlines", "two\nlines"},
		{"a-b", "a-b"},
		{"1+1=2", "1+1=2"},
		{"a; b", "a; b"},
		{"'=1", "'=1"},
		{"é", "é"},
		{"a,=1", "a,=1"},
	}
	for _, test := range tests {
		input, err := json.Marshal(map[string]any{"action": "a.b", "target": test.target, "data": map[string]any{"n": -1, "x": "a;=1"}})
		require.NoError(t, err)
		b.append("org_1", string(input), http.StatusCreated)
	}
	body := string(b.get("user_admin", auditOfOne+"/export?format=csv").body)
	records, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	require.NoError(t, err)
	records = records[1 : len(records)-1]
	require.Len(t, records, len(tests))
	for i, test := range tests {
		record := records[len(tests)-1-i]
		require.Equal(t, test.want, record[4], "of %q", test.target)
		require.JSONEq(t, `{"n":-1,"x":"a;'=1"}`, record[7])
	}
	for _, separator := range []string{";", "\t", "\n", "\r"} {
		for cell := range strings.SplitSeq(body, separator) {
			shown := strings.TrimLeft(cell, "\" \t\r\n\v\u00a0\ufeff\u200b")
			require.False(t, shown != "" && strings.ContainsRune("=+-@＝＠", []rune(shown)[0]), "separated by %q there is %q", separator, cell)
		}
	}
}

// cutOff reads an export to its end and requires that it can't pass for a whole one.
func cutOff(t *testing.T, body io.Reader) {
	t.Helper()
	text, err := io.ReadAll(body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotContains(t, string(text), "complete")
}

// fill appends n large entries to org_1.
func fill(b *serverBundle, n int) {
	b.tb.Helper()
	_, err := b.pool.Exec(b.tb.Context(), `INSERT INTO rolecall.audit_log (organization_id, action, target, data, at, cause)
		SELECT 'org_1', 'report.run', 'r', json_build_object('x', repeat('x', 16000)), now(), 'service:s' FROM generate_series(1, $1)`, n)
	require.NoError(b.tb, err)
}

// TestAnExportThatIsCutOffIsSeen: by whoever is removed while reading.
func TestAnExportThatIsCutOffIsSeen(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	fill(b, 1200) // more than all buffers on the way take
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+auditOfOne+"/export", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer user_admin")
	response, err := b.client.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	reader := bufio.NewReader(response.Body)
	_, err = reader.ReadString('\n')
	require.NoError(t, err)
	b.world.remove("org_1", "user_admin")
	cutOff(t, reader)
	require.NoError(t, response.Body.Close())
	requireProblem(t, b.get("user_admin", auditOfOne+"/export"), http.StatusNotFound, "")
}

// TestAReaderThatStallsIsCut, and holds nothing.
func TestAReaderThatStallsIsCut(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	b := setupAudit(t, func(c *Config) { c.ExportStall = 200 * time.Millisecond })
	fill(b, 1200)
	handler := b.handler
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		handler.ServeHTTP(w, r)
	})}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err)
	_, err = fmt.Fprintf(connection, "GET %s/export HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer user_admin\r\n\r\n", auditOfOne)
	require.NoError(t, err)
	<-ended                           // although nobody read a byte
	text, _ := io.ReadAll(connection) // what was on the way, if it wasn't thrown away with the connection
	require.NotContains(t, string(text), "complete")
	require.NoError(t, errors.Join(connection.Close(), server.Close()))
	require.ErrorIs(t, <-served, http.ErrServerClosed)
}

// TestAnExportIsAsOfWhenItBegan: what is recorded meanwhile is left out, wherever it would stand.
func TestAnExportIsAsOfWhenItBegan(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	fill(b, 1200)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+auditOfOne+"/export", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer user_admin")
	response, err := b.client.Do(request)
	require.NoError(t, err)
	reader := bufio.NewReader(response.Body)
	_, err = reader.ReadString('\n')
	require.NoError(t, err)
	b.append("org_1", `{"action":"late.entry","target":"r","at":"2026-01-01T00:00:00Z"}`, http.StatusCreated) // would come last
	text, err := io.ReadAll(reader)
	require.NoError(t, errors.Join(err, response.Body.Close()))
	require.NotContains(t, string(text), "late.entry")
	require.True(t, strings.HasSuffix(string(text), "{\"complete\":true,\"entries\":1200}\n"))
}

// lateWriter is an answer whose request's time is over once the first batch was sent.
type lateWriter struct {
	*httptest.ResponseRecorder

	over    func()
	batches int
}

func (l *lateWriter) Flush() {
	l.batches++
	l.over()
}

func (l *lateWriter) SetWriteDeadline(time.Time) error { return nil }

// TestAnExportOutlivesTheTimeOfARequest: it is bounded by its reader.
func TestAnExportOutlivesTheTimeOfARequest(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	fill(b, 450)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, auditOfOne+"/export", nil)
	request.Header.Set("Authorization", "Bearer user_admin")
	writer := &lateWriter{ResponseRecorder: httptest.NewRecorder(), over: cancel}
	b.handler.ServeHTTP(writer, request)
	require.Equal(t, 3, writer.batches)
	require.True(t, strings.HasSuffix(writer.Body.String(), "{\"complete\":true,\"entries\":450}\n"))
}

// TestADatabaseThatGoesAwayCutsAnExport, which is our fault, and is logged.
func TestADatabaseThatGoesAwayCutsAnExport(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	fill(b, 450)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, auditOfOne+"/export", nil)
	request.Header.Set("Authorization", "Bearer user_admin")
	writer := &lateWriter{ResponseRecorder: httptest.NewRecorder(), over: func() {
		_, err := b.pool.Exec(t.Context(), "ALTER TABLE rolecall.audit_log RENAME TO elsewhere")
		require.NoError(t, err)
	}}
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { b.handler.ServeHTTP(writer, request) })
	require.Equal(t, 1, writer.batches)
	require.NotContains(t, writer.Body.String(), "complete")
	require.Contains(t, b.logs.take(), "export cut off")
}

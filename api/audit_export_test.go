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
)

func TestAuditExport_IsWholeAndSaysSo(t *testing.T) {
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
	require.Equal(t, []string{"id", "at", "actor", "action", "target", "before", "after", "data", "cause", "impersonator", "client_ip", "user_agent"}, records[0])
	require.Equal(t, []string{"1000", "2026-01-01T00:08:20Z", "", "member.joined", "user_1000", "", `{"role":"org:member"}`, "", "msg_1", "", "", ""}, records[1])
	require.Equal(t, []string{"complete", "1000", "", "", "", "", "", "", "", "", "", ""}, records[1001])

	none := b.get("user_admin", auditOfOne+"/export?actor=user_nobody")
	require.Equal(t, "{\"complete\":true,\"entries\":0}\n", string(none.body))
}

// TestAuditExport_NoCellBeginsAFormula: this includes spreadsheets that separate cells by
// semicolons or tabs, as Excel does in most of Europe. Some of them drop invisible characters
// before they look for a formula. A parser of CSV gets a cell without a formula unchanged.
func TestAuditExport_NoCellBeginsAFormula(t *testing.T) {
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

// requireCutOff reads an export to its end, and requires that it can't pass for a complete one.
func requireCutOff(t *testing.T, body io.Reader) {
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

// TestAuditExport_RemovedReaderSeesItCutOff removes the reader while the export is being read.
func TestAuditExport_RemovedReaderSeesItCutOff(t *testing.T) {
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
	requireCutOff(t, reader)
	require.NoError(t, response.Body.Close())
	requireProblem(t, b.get("user_admin", auditOfOne+"/export"), http.StatusNotFound, "")
}

// TestAuditExport_CutsAStalledReader: an export whose reader takes nothing ends.
func TestAuditExport_CutsAStalledReader(t *testing.T) {
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
	<-ended                           // although no byte was read
	text, _ := io.ReadAll(connection) // the bytes under way, unless the connection dropped them
	require.NotContains(t, string(text), "complete")
	require.NoError(t, errors.Join(connection.Close(), server.Close()))
	require.ErrorIs(t, <-served, http.ErrServerClosed)
}

// TestAuditExport_IsAsOfItsBeginning: an entry that is recorded meanwhile is left out, wherever it
// would stand.
func TestAuditExport_IsAsOfItsBeginning(t *testing.T) {
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

// lateWriter is an answer that calls over after each batch.
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

// TestAuditExport_OutlivesTheRequestTimeout: only the reader bounds an export.
func TestAuditExport_OutlivesTheRequestTimeout(t *testing.T) {
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

// TestAuditExport_DatabaseOutageCutsItOff: the outage isn't the reader's fault, and is logged.
func TestAuditExport_DatabaseOutageCutsItOff(t *testing.T) {
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

// TestAuditExport_HEADStreamsNothing: else each would read a whole log for nothing.
func TestAuditExport_HEADStreamsNothing(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	fill(b, 1)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodHead, auditOfOne+"/export", nil)
	request.Header.Set("Authorization", "Bearer user_admin")
	writer := &lateWriter{ResponseRecorder: httptest.NewRecorder(), over: func() {}}
	b.handler.ServeHTTP(writer, request)
	require.Equal(t, http.StatusOK, writer.Code)
	require.Equal(t, "application/jsonl", writer.Header().Get("Content-Type"))
	require.Zero(t, writer.batches)
}

package console_test

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/jobs"
)

// TestAudit_Downloads have what their pages select, and are audited with the operator's name.
func TestAudit_Downloads(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.Applied(t)
	records := func(path string) (rows [][]string) {
		status, text := w.Text(t, path)
		require.Equal(t, http.StatusOK, status, text)
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		require.NoError(t, err)
		return rows
	}
	all := records("/audit/export.csv")
	require.Equal(t, "complete", all[len(all)-1][0])
	some := records("/audit/export.csv?workspace=northwind&action=member.removed")
	require.Len(t, some, 3)
	require.Equal(t, w.martin, some[1][6])
	status, text := w.Text(t, "/audit/export.jsonl?workspace=northwind&action=member.removed")
	require.Equal(t, http.StatusOK, status)
	require.True(t, strings.HasSuffix(text, `{"complete":true,"entries":1}`+"\n"), text)
	require.NotContains(t, text, `"erased"`)
	_, err := w.DB.Exec(t.Context(), "ALTER TABLE rolecall.audit_log DISABLE TRIGGER USER; UPDATE rolecall.audit_log SET erased_by = 1")
	require.NoError(t, err)
	_, text = w.Text(t, "/audit/export.jsonl?workspace=northwind&action=member.removed")
	require.Contains(t, text, `"erased":true`)
	status, _ = w.Text(t, "/audit/export.csv?action=member.removed")
	require.Equal(t, http.StatusBadRequest, status)
	status, text = w.Text(t, "/audit/export.csv?workspace=northwind&action=member.remvoed")
	require.Equal(t, http.StatusBadRequest, status, "mistyped, which no entry has")
	require.Contains(t, text, "member.removed")
	_, text = w.Text(t, "/audit?workspace=northwind&action=member.remvoed")
	require.Contains(t, text, "No entry has the action")
	review := records("/audit/access-review.csv?workspace=northwind")
	require.Len(t, review, 6, "header, ada, john, the hostile one, jane, and the end")
	end := review[5]
	require.Equal(t, []string{"complete", "4"}, end[:2])
	_, err = time.Parse(time.RFC3339, end[2])
	require.NoError(t, err, "the instant")
	require.Empty(t, strings.Join(end[3:], ""), "no sweep yet")
	_, err = w.DB.Exec(t.Context(), `INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, progress, report)
		VALUES ('interval', '', false, 'ins_1', '2026-01-02', '2026-01-02', '2026-01-02', 'clean', '{}', '{}')`)
	require.NoError(t, err)
	old := records("/audit/access-review.csv?at=" + url.QueryEscape("1970-01-01T00:00:00Z"))
	require.Equal(t, []string{"complete", "0", "1970-01-01T00:00:00Z", "2026-01-02T00:00:00Z"}, old[1][:4])
	for query, name := range map[string]string{"?at=2026-01-02": `access-review-2026-01-02T000000Z\.csv`, "": `access-review-20\d\d-\d\d-\d\dT\d{6}Z\.csv`} {
		response, err := w.Client.Do(newRequest(t, http.MethodGet, w.Admin("/audit/access-review.csv"+query), nil, nil))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Regexp(t, name, response.Header.Get("Content-Disposition"))
	}
	for _, path := range []string{"/audit", "/audit?workspace=evil", "/audit/access-review?workspace=northwind"} {
		_, text := w.Text(t, path)
		require.NotContains(t, text, "<script>alert", path)
		require.NotContains(t, text, "\u202e", path)
	}
}

// TestAudit_AboutAPerson has what happened in workspaces, too, whether the person is named by id or
// by e-mail address; also the file. The person's page leads there.
func TestAudit_AboutAPerson(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.Applied(t)
	for _, named := range []string{w.martin, "martin@northwind.example"} {
		filters := "?action=member.removed&target=" + url.QueryEscape(named)
		status, text := w.Text(t, "/audit"+filters)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, text, "<strong>member.removed</strong>", named)
		require.Contains(t, text, "/workspaces/"+w.northwind, named)
		_, text = w.Text(t, "/audit/export.jsonl"+filters)
		require.True(t, strings.HasSuffix(text, `{"complete":true,"entries":1}`+"\n"), text)
	}
	_, text := w.Text(t, "/users/"+w.martin)
	require.Contains(t, text, `<a class="button" href="/audit?target=`+w.martin+`">More entries</a>`)
	_, text = w.Text(t, "/audit?workspace=instance&action=member.removed&target="+w.martin)
	require.Contains(t, text, "Nothing is recorded that these filters select")
}

// TestAccessReview_OfALongHistory: a page says that it takes too long, and the file has all.
func TestAccessReview_OfALongHistory(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.Applied(t)
	_, err := w.DB.Exec(t.Context(), `ALTER TABLE rolecall.audit_log DISABLE TRIGGER USER;
		INSERT INTO rolecall.audit_log (organization_id, action, target, after, at, cause, seq, prev_hash, hash)
			SELECT o.id, 'member.joined', 'user_of' || n % 1500, json_build_object('membership_id', 'orgmem_' || n, 'role', 'org:member'),
				now() - interval '1 h', 'msg_x', 1000 + n, '', ''
			FROM rolecall.organizations o, generate_series(1, 20000) n WHERE o.slug = 'northwind'`)
	require.NoError(t, err)
	status, text := w.Text(t, "/audit/access-review?workspace=northwind")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, text, "too long for a page")
	_, link, _ := strings.Cut(text, `<a href="/audit/access-review.csv?`)
	link, _, _ = strings.Cut(link, `"`)
	status, text = w.Text(t, "/audit/access-review.csv?"+link)
	require.Equal(t, http.StatusOK, status)
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 1506)
	require.Equal(t, []string{"complete", "1504"}, rows[1505][:2])
}

// TestAccessReview_OfATimeThatWasCut: page and file say that the log doesn't go back so far. Of
// a later time, both have the review.
func TestAccessReview_OfATimeThatWasCut(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.Applied(t)
	require.NoError(t, jobs.CutLog(t.Context(), w.DB, time.Now(), 0))
	for path, want := range map[string]int{
		"/audit/access-review?workspace=northwind&at=2020-01-02":     http.StatusOK,
		"/audit/access-review.csv?workspace=northwind&at=2020-01-02": http.StatusBadRequest,
		"/audit/access-review.csv?at=2020-01-02":                     http.StatusBadRequest,
	} {
		status, text := w.Text(t, path)
		require.Equal(t, want, status, path)
		require.Contains(t, text, "go back to that instant any more", path)
	}
	for _, path := range []string{"/audit/access-review?workspace=northwind", "/audit/access-review.csv"} {
		status, text := w.Text(t, path)
		require.Equal(t, http.StatusOK, status, path)
		require.Contains(t, text, "jane@northwind.example", path)
	}
}

// TestFilters_SayWhatTheyDontFind: a name that means nothing, or several things, is no error.
func TestFilters_SayWhatTheyDontFind(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.Applied(t)
	for path, want := range map[string]string{
		"/deliveries?workspace=nope":                     "No workspace has the id, slug or name",
		"/deliveries?workspace=north":                    "give the id of the one you mean",
		"/deliveries?user=nobody@x.test":                 "No user has the id, e-mail address or name",
		"/audit?workspace=northwind&actor=Nemo":          "No user has the id, e-mail address or name",
		"/audit?workspace=northwind&actor=operator:ada":  "Nothing is recorded that these filters select",
		"/audit?workspace=northwind&actor=service:mails": "Nothing is recorded that these filters select",
	} {
		status, text := w.Text(t, path)
		require.Equal(t, http.StatusOK, status, path)
		require.Contains(t, text, want, path)
	}
}

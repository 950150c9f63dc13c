package console_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
)

// send sends River UI a request with a body.
func (d *desk) send(t *testing.T, method, path, body string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, d.Admin(path), strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	return ask(t, d.browser, request)
}

// TestJobs_ChangesAreAudited: an operator sees the jobs, and each change is in the audit log.
func TestJobs_ChangesAreAudited(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	a := d.get(t, "/jobs/api/queues")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Contains(t, a.text, "held_up")
	a = d.get(t, "/jobs/api/states")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)

	var id int64
	require.NoError(t, d.DB.QueryRow(t.Context(), `INSERT INTO rolecall.river_job (args, kind, max_attempts, queue, state, scheduled_at)
		VALUES ('{}', 'other', 1, 'nobody_works_it', 'scheduled', now() + interval '1 day') RETURNING id`).Scan(&id))
	ids, err := json.Marshal(map[string]any{"ids": []int64{id}})
	require.NoError(t, err)
	a = d.send(t, http.MethodPost, "/jobs/api/jobs/cancel", string(ids))
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	var state string
	require.NoError(t, d.DB.QueryRow(t.Context(), "SELECT state FROM rolecall.river_job WHERE id = $1", id).Scan(&state))
	require.Equal(t, "cancelled", state)
	a = d.send(t, http.MethodPut, "/jobs/api/queues/held_up/pause", "")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	a = d.send(t, http.MethodPut, "/jobs/api/queues/held_up/resume", "")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, []string{
		"operator:ada operator.signed_in ada", "operator:ada operator.jobs_changed jobs/cancel",
		"operator:ada operator.jobs_changed queues/held_up/pause", "operator:ada operator.jobs_changed queues/held_up/resume",
	}, d.logged(t))
	var data string
	require.NoError(t, d.DB.QueryRow(t.Context(), "SELECT data FROM rolecall.audit_log WHERE target = 'jobs/cancel'").Scan(&data))
	require.JSONEq(t, `{"method": "POST", "request": `+string(ids)+`}`, data)
}

// TestJobs_UnauditedChangesAreNone: while the audit log can't be written, nothing changes.
func TestJobs_UnauditedChangesAreNone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	_, err := d.DB.Exec(t.Context(), "ALTER TABLE rolecall.audit_log ADD CONSTRAINT closed CHECK (action <> 'operator.jobs_changed') NOT VALID")
	require.NoError(t, err)
	a := d.send(t, http.MethodPut, "/jobs/api/queues/held_up/pause", "")
	require.Equal(t, http.StatusInternalServerError, a.StatusCode)
	var paused int
	require.NoError(t, d.DB.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.river_queue WHERE paused_at IS NOT NULL").Scan(&paused))
	require.Zero(t, paused)
}

// TestJobs_OnlyOperatorsChangeThem: without operators, and from other sites, jobs can only be seen.
func TestJobs_OnlyOperatorsChangeThem(t *testing.T) {
	t.Parallel()
	d := newDesk(t, withoutOperators("127.0.0.1:0"))
	require.Equal(t, http.StatusOK, d.get(t, "/jobs/api/queues").StatusCode)
	for method, path := range map[string]string{
		http.MethodPost: "/jobs/api/jobs/delete", http.MethodPut: "/jobs/api/queues/held_up/pause", http.MethodPatch: "/jobs/api/queues/held_up", http.MethodDelete: "/jobs/api/x",
	} {
		require.Equal(t, http.StatusForbidden, d.send(t, method, path, `{"ids":[1]}`).StatusCode, method)
	}
	other := newDesk(t)
	other.signIn(t)
	request := newRequest(t, http.MethodPut, other.Admin("/jobs/api/queues/held_up/pause"), nil, []string{"Sec-Fetch-Site", "cross-site"})
	require.Equal(t, http.StatusForbidden, ask(t, other.browser, request).StatusCode)
	require.Len(t, other.logged(t), 1)
}

// TestJobs_InABrowser: River UI works under its policy.
func TestJobs_InABrowser(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	browser := browsertest.New(t)
	for _, view := range []browsertest.View{{Width: 1440}, {Width: 360, Dark: true}} {
		page := browser.Open(t, d.Admin("/jobs/"), view)
		page.Type("input[name=token]", d.token)
		page.Click("main button")
		page.Await(`document.querySelector("#root input")`)
		page.CheckForeign("jobs")
		page.Go("/jobs/queues")
		page.Await(`document.body.innerText.includes("held_up")`)
		page.CheckForeign("queues")
		page.Click("#rolecall")
		require.Equal(t, "/", page.URL(), "there is a way back")
	}
}

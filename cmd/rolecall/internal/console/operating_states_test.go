package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
	"github.com/callmine/rolecall/cmd/rolecall/internal/buildinfo"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/store"
)

// TestStatus_IsLive: what changes while the page is open is shown.
func TestStatus_IsLive(t *testing.T) {
	t.Parallel()
	b := newBusy(t, 1)
	page := browsertest.New(t).Open(t, b.Admin("/sign-in"), browsertest.View{Width: 1440})
	page.Type("input[name=token]", b.token)
	page.Click("main button")
	_, err := b.Clerk.UpdateOrganization(b.workspace, clerksim.OrganizationUpdate{Name: new("Bluefin Sales")})
	require.NoError(t, err)
	b.exec(t, "DELETE FROM rolecall.deliveries WHERE state = 'quarantined'")
	b.Send(t, b.Clerk.Drain()...)
	page.Await(`document.getElementById("newest").textContent.includes("Bluefin Sales")`)
	page.Await(`!document.getElementById("status").textContent.includes("quarantined")`)
}

// TestOrders_ThatWait: without a process that sweeps, the page says what an order waits for. A
// second order is refused.
func TestOrders_ThatWait(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	require.Equal(t, http.StatusSeeOther, d.post(t, "/sweeps/dry-run", url.Values{}).StatusCode)
	text := d.get(t, "/sweeps").text
	require.Contains(t, text, "No process is up that sweeps")
	require.Contains(t, text, "Dry run ordered by ada")
	again := d.post(t, "/sweeps/dry-run", url.Values{})
	require.Equal(t, http.StatusBadRequest, again.StatusCode)
	require.Contains(t, again.text, "such a sweep is ordered already by ada")
	require.Equal(t, []string{"operator:ada operator.signed_in ada", "operator:ada operator.sweep_ordered everything"}, d.logged(t))
}

// TestStatus_OfProcesses: a killed one is silent, and versions that differ are told.
func TestStatus_OfProcesses(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	servicetest.Eventually(t, func() bool {
		running, err := store.Processes(t.Context(), b.DB)
		return err == nil && len(running) == 1
	}, "the process notes itself")
	_, err := b.DB.Exec(t.Context(), `INSERT INTO rolecall.processes (id, host_name, pid, version, web, workers, sweeps, started_at, seen_at, clerk_sent, clerk_limit, clerk_paused)
		VALUES ('other_1', 'other', 1, 'v9', true, true, true, now() - interval '3 days', now(), 90, 100, true),
			('killed_1', 'killed', 1, 'v8', true, false, false, now() - interval '3 days', now() - interval '2 minutes', NULL, NULL, false)`)
	require.NoError(t, err)
	var text string
	servicetest.Eventually(t, func() bool { // the situation of some seconds ago is shown
		var status int
		status, text = b.Text(t, "/")
		return status == http.StatusOK && len(text) > 0 && strings.Contains(text, "other_1")
	}, "the page shows it")
	require.Contains(t, text, "Processes run different versions: v9, "+buildinfo.Read().Version)
	require.Contains(t, text, "silent")
	require.Contains(t, text, "90 of 100 calls in 10 s")
	require.Contains(t, text, "paused")
}

// TestHelp_ExplainsEachAlarm in the words of the manual.
func TestHelp_ExplainsEachAlarm(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	_, text := b.Text(t, "/help/alarms")
	for _, name := range health.AlarmNames() {
		require.Contains(t, text, `id="alarm-`+string(name)+`"`)
		require.NotEqual(t, string(name), name.Title())
	}
	for _, name := range health.NoticeNames() {
		require.Contains(t, text, `id="notice-`+string(name)+`"`)
		require.NotEqual(t, string(name), name.Title())
	}
	require.Contains(t, text, `id="guard-removal_ratio"`)
	require.NotContains(t, text, "](", "links are plain text")
	require.NotContains(t, text, "`")
}

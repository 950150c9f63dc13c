package console_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// openSignedIn opens a page in Chromium as ada.
func (d *desk) openSignedIn(t *testing.T, path string, view browsertest.View) *browsertest.Page {
	t.Helper()
	page := browsertest.New(t).Open(t, d.Admin(path), view)
	page.Type("input[name=token]", d.token)
	page.Click("main button")
	return page
}

// TestLive_OpenPageFollows: a page that is open shows a delivery that comes, without being loaded
// again.
func TestLive_OpenPageFollows(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	page := d.openSignedIn(t, "/", browsertest.View{})
	page.Press("main") // gives the page the focus
	page.Set("window.opened = true")
	require.NotRegexp(t, `\d+\x{a0}s ago|\bnow\b`, page.Text("main"))
	_, err := d.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	d.Send(t, d.Clerk.Drain()...)
	page.Await(`window.opened && /(\d+\s(ms|s) ago|\bnow\b)/.test(document.querySelector("main").innerText)`)
	page.Check("live")
}

// TestLive_StreamEndsWithTheProcess: an open page doesn't hold up a stop.
func TestLive_StreamEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	response, err := d.browser.Do(newRequest(t, http.MethodGet, d.Admin("/events"), nil, nil))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	lines := bufio.NewScanner(response.Body)
	seen := map[string]bool{}
	for !seen["event: changed"] && lines.Scan() {
		seen[strings.TrimSpace(lines.Text())] = true
	}
	require.True(t, seen["event: open"] && seen["event: changed"], seen)
	require.NoError(t, d.Service.Stop(t.Context()), "it would wait for the stream, and then cut it")
	for lines.Scan() {
		continue
	}
	require.NoError(t, lines.Err(), "the stream was ended, and not cut")
}

// TestLive_StreamsAreBounded: further pages work without one.
func TestLive_StreamsAreBounded(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for i := range 32 {
		if i%8 == 0 { // as many as one session may have
			d.signIn(t)
		}
		response, err := d.browser.Do(newRequest(t, http.MethodGet, d.Admin("/events"), nil, nil))
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	d.signIn(t)
	require.Equal(t, http.StatusServiceUnavailable, d.get(t, "/events").StatusCode)
	require.Equal(t, http.StatusOK, d.get(t, "/").StatusCode)
}

// TestLive_HiddenPageHasNoStream: also if its stream was refused before, and the page would have
// tried again. A page that is shown again has one stream, and no second one.
func TestLive_HiddenPageHasNoStream(t *testing.T) {
	t.Parallel()
	page := newDesk(t).openSignedIn(t, "/", browsertest.View{})
	page.Set(`window.opened = 0, window.later = [], window.setTimeout = (f) => window.later.push(f)`)
	page.Set(`window.EventSource = class {
		static CLOSED = 2;
		constructor() { window.opened++; window.refused = this; this.readyState = 2; }
		addEventListener() {}
		close() {}
	}`)
	opened := func(n int) {
		t.Helper()
		page.Set(fmt.Sprintf(`(() => { if (window.opened !== %d) throw new Error(window.opened + " streams") })()`, n))
	}
	show := func(hidden string) {
		page.Set(`Object.defineProperty(document, "hidden", { value: ` + hidden + `, configurable: true })`)
		page.Set(`document.dispatchEvent(new Event("visibilitychange"))`)
	}
	show("true")
	show("false")
	opened(1)
	page.Set("window.refused.onerror()")
	show("true")
	page.Set("window.later[0]()")
	opened(1)
	show("false")
	page.Set("window.refused.onerror()")
	page.Set("window.later[1]()")
	opened(3) // shown again, and tried again
	page.Set("window.later[0](), window.later[1]()")
	opened(3)
}

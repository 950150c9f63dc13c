package browsertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// View is how a page is looked at.
type View struct {
	Width    int  // of the window, in CSS pixels; 0 is 1,440
	Dark     bool // the person prefers dark pages
	NoScript bool // JavaScript is off
	Failing  bool // answers with an error status are expected of the page's own requests, too
}

// name tells views apart in the names of screenshots.
func (v View) name() string {
	name := strconv.Itoa(v.Width)
	if v.Dark {
		name += "-dark"
	}
	if v.NoScript {
		name += "-noscript"
	}
	return name
}

// Page is a tab with cookies of its own.
type Page struct {
	t       *testing.T
	browser *Browser
	ctx     context.Context
	origin  string
	view    View

	mu     sync.Mutex
	faults []string
	status map[string]int64 // of documents, by URL
}

// Open opens the page of a URL in a new tab.
func (b *Browser) Open(t *testing.T, at string, view View) *Page {
	t.Helper()
	if view.Width == 0 {
		view.Width = 1440
	}
	u, err := url.Parse(at)
	require.NoError(t, err)
	ctx, cancel := chromedp.NewContext(b.context, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &Page{t: t, browser: b, ctx: ctx, origin: u.Scheme + "://" + u.Host, view: view, status: map[string]int64{}}
	require.NoError(t, chromedp.Listen(ctx, p.listen), "open a tab")
	scheme := "light"
	if view.Dark {
		scheme = "dark"
	}
	p.Do(
		command(network.Enable, network.EnableParams{}), command(log.Enable, cdp.Empty{}), command(runtime.Enable, cdp.Empty{}),
		command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: int64(view.Width), Height: 900, DeviceScaleFactor: 1, Mobile: view.Width < 600,
		}),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}),
		scripts(!view.NoScript), chromedp.Func(takeDownloads(t.TempDir())),
	)
	p.Go(at)
	return p
}

// scripts turns JavaScript on or off.
func scripts(on bool) chromedp.Action[chromedp.Void] {
	return command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
}

// takeDownloads is the step that lets the tab download files: a browser without windows refuses
// them else, and asks for none.
func takeDownloads(folder string) func(context.Context, *chromedp.Target) error {
	return func(ctx context.Context, t *chromedp.Target) error {
		tab, err := cdp.Call(ctx, t, target.GetTargetInfo, target.GetTargetInfoParams{})
		if err != nil {
			return err
		}
		_, err = cdp.Call(ctx, t, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
			Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: folder, BrowserContextID: tab.TargetInfo.BrowserContextID,
		})
		return err
	}
}

// command is the step that sends the browser a command without a result.
func command[P any](c cdp.Command[P, cdp.Empty], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// listen notes what a page must not do.
func (p *Page) listen(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		own := []string{p.origin + "/", "about:", "data:"} // a date's field has a picture that the browser brings
		if !slices.ContainsFunc(own, func(prefix string) bool { return strings.HasPrefix(e.Request.URL, prefix) }) {
			p.note("a request to " + e.Request.URL)
		}
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			p.mu.Lock()
			p.status[e.Response.URL] = e.Response.Status
			p.mu.Unlock()
		}
	case *runtime.EventExceptionThrown:
		p.note("an exception: " + e.ExceptionDetails.Text + " " + e.ExceptionDetails.Exception.Description)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			var words []string
			for _, a := range e.Args {
				words = append(words, string(a.Value)+a.Description)
			}
			p.note("console: " + strings.Join(words, " "))
		}
	case *log.EventEntryAdded:
		if (e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning) && !p.expected(e.Entry) {
			p.note("log: " + e.Entry.Text + " " + e.Entry.URL)
		}
	}
}

// expected reports whether an entry only says that a document has an error status, which is for the
// test to judge.
func (p *Page) expected(e *log.Entry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, document := p.status[e.URL]
	return e.Source == log.EntrySourceNetwork && (document || p.view.Failing)
}

func (p *Page) note(fault string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fault)
}

// Do runs steps in the tab.
func (p *Page) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	p.done(chromedp.Do(ctx, steps...))
}

// done fails the test for an error of the browser.
func (p *Page) done(err error) {
	p.t.Helper()
	if err != nil {
		p.Shoot("failed")
		require.NoError(p.t, err, "in the browser; faults so far: %v", p.faults)
	}
}

// get runs a step that has a result.
func get[T any](p *Page, step chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, step)
	for err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "Cannot find context") { // the page was left before the step began
		value, err = chromedp.Run(ctx, step)
	}
	p.done(err)
	return value
}

// Go opens another page.
func (p *Page) Go(at string) {
	p.t.Helper()
	if strings.HasPrefix(at, "/") {
		at = p.origin + at
	}
	p.Do(chromedp.Navigate(at))
}

// Type writes into a field, by its CSS selector.
func (p *Page) Type(field, text string) {
	p.t.Helper()
	p.Do(chromedp.SendKeys(chromedp.CSS(field), text))
}

// Click presses a link or a button that leads to another page, and waits for that.
func (p *Page) Click(element string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	_, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(element)))
	for err != nil && strings.Contains(err.Error(), "Could not find node") { // a live part was replaced meanwhile
		_, err = chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(element)))
	}
	require.NoError(p.t, err, "click %s", element)
}

// Press presses a button that stays on the page.
func (p *Page) Press(element string) {
	p.t.Helper()
	p.Do(chromedp.Click(chromedp.CSS(element)))
}

// Keys types on the keyboard, wherever the focus is. Package kb names the keys that write nothing.
func (p *Page) Keys(keys string) {
	p.t.Helper()
	p.Do(chromedp.KeyEvent(keys))
}

// Focused reports whether an element has the focus.
func (p *Page) Focused(element string) bool {
	p.t.Helper()
	return get(p, chromedp.Evaluate[bool](fmt.Sprintf("document.activeElement.matches(%q)", element)))
}

// Text waits for an element, and returns its visible text. It reads in one step: a live part may be
// replaced between finding an element and reading it, and what was replaced has no visible text.
func (p *Page) Text(element string) string {
	p.t.Helper()
	text := fmt.Sprintf("(found => found && [found.innerText])(document.querySelector(%q))", element)
	return get(p, chromedp.Poll[[]string](text, chromedp.WithPollingTimeout(patience)))[0]
}

// Value returns the text that an expression in JavaScript gives.
func (p *Page) Value(expression string) string {
	p.t.Helper()
	return get(p, chromedp.Evaluate[string](expression))
}

// Set runs a statement in JavaScript.
func (p *Page) Set(statement string) {
	p.t.Helper()
	get(p, chromedp.Evaluate[bool](statement+";true"))
}

// Await waits until an expression in JavaScript is true.
func (p *Page) Await(expression string) {
	p.t.Helper()
	get(p, chromedp.Poll[bool]("!!("+expression+")", chromedp.WithPollingTimeout(patience)))
}

// URL returns the path and query of the present page.
func (p *Page) URL() string {
	p.t.Helper()
	return strings.TrimPrefix(get(p, chromedp.Location()), p.origin)
}

// Status returns the status of the present page.
func (p *Page) Status() int {
	p.t.Helper()
	at := p.origin + p.URL()
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.status[at])
}

// CheckForeign fails the test if the page logged an error or asked another origin. It saves a
// screenshot under the given name first.
func (p *Page) CheckForeign(name string) {
	p.t.Helper()
	p.Shoot(name)
	p.mu.Lock()
	faults := p.faults
	p.mu.Unlock()
	require.Empty(p.t, faults, "faults of %s", name)
}

// Check is [Page.CheckForeign] for our own pages. It also fails the test if the page is wider than
// its window, or has something that axe finds.
func (p *Page) Check(name string) {
	p.t.Helper()
	p.CheckForeign(name)
	wide := get(p, chromedp.Evaluate[[]string](`(() => {
		const width = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= width) return [];
		return [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > width + 1)
			.map(e => e.outerHTML.slice(0, 120)).concat("something");
	})()`))
	require.Empty(p.t, wide, "%s is wider than its window", name)
	require.Empty(p.t, p.axe(), "axe finds something in %s", name)
}

// axe returns what keeps people out of the page.
func (p *Page) axe() []string {
	p.t.Helper()
	p.Do(scripts(true)) // the page's own have been left out by now
	get(p, chromedp.Evaluate[bool](p.browser.axe+";true"))
	defer p.Do(scripts(!p.view.NoScript))
	return get(p, chromedp.Evaluate[[]string](`axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.flatMap(v =>
		v.nodes.map(n => v.id + ": " + n.html.slice(0, 200) + " " + (n.failureSummary || ""))))`, chromedp.EvalAwaitPromise))
}

// Shoot saves a screenshot of the whole page, if ROLECALL_TEST_ARTIFACTS names a folder.
func (p *Page) Shoot(name string) {
	p.t.Helper()
	if p.browser.artifacts == "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Logf("no screenshot of %s: %v", name, err)
		return
	}
	file := filepath.Join(p.browser.artifacts, fmt.Sprintf("%s-%s.png", name, p.view.name()))
	require.NoError(p.t, os.WriteFile(file, picture, 0o600))
}

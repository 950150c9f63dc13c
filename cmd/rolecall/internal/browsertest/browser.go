// Package browsertest opens pages in a real Chromium, for tests.
//
// It guarantees that a page which logs an error, asks another origin or is wider than its window
// fails its test. Tests are left out where Chromium or axe isn't installed, and fail there in CI.
// `make race` leaves them out by ROLECALL_TEST_WITHOUT_BROWSER: with the race detector, pages take
// as long as all other tests together.
package browsertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// patience bounds each step in the browser: it is slow beside other tests.
const patience = time.Minute

// Browser is a Chromium of one test.
type Browser struct {
	context   context.Context
	artifacts string
	axe       string
}

// New starts a browser that ends with the test.
func New(t *testing.T) *Browser {
	t.Helper()
	if os.Getenv("ROLECALL_TEST_WITHOUT_BROWSER") != "" {
		t.Skip("ROLECALL_TEST_WITHOUT_BROWSER is set") //nolint:forbidigo // CI runs it in a step of its own
	}
	b := &Browser{axe: readAxe(t), artifacts: artifacts(t)}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(findChromium(t)), chromedp.DisableGPU, chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("hide-scrollbars", false), chromedp.Flag("font-render-hinting", "none"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses root otherwise
	}
	allocator, end := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for its end
		cancel()
		end()
	})
	require.NoError(t, chromedp.Do(ctx), "start Chromium")
	b.context = ctx
	return b
}

// findChromium returns the path of the program. The one without windows is the fastest.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	pgtest.NeedsProgram(t, "chromium")
	return ""
}

// readAxe returns the script that finds what keeps people out. `npm ci --ignore-scripts` in
// .ci/browser installs it.
func readAxe(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(servicetest.InRepository(t, ".ci/browser/node_modules/axe-core/axe.min.js"))
	if err != nil {
		pgtest.Lacks(t, "axe-core")
	}
	return string(text)
}

// artifacts returns the folder for screenshots. It is "" unless one is asked for: drawing whole
// pages without a graphics card is slow.
func artifacts(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("ROLECALL_TEST_ARTIFACTS")
	if dir == "" {
		return ""
	}
	dir = filepath.Join(dir, "screenshots")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	return dir
}

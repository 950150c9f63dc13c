package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"riverqueue.com/riverui"

	"github.com/callmine/rolecall/migrations"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	jobsPath   = "/jobs"
	jobsAPI    = jobsPath + "/api/"
	jobsQueues = jobsAPI + "queues/"
)

// jobsPolicy is the policy of River UI's pages: scripts and styles come from this console only, and
// so do the answers that they show. Its scripts add style sheets of their own to the page.
const jobsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; style-src-elem 'self' 'unsafe-inline'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// jobsPages returns River UI. Its services aren't started: they would count all jobs again and
// again.
func (c *Console) jobsPages() (http.Handler, error) {
	client, err := river.NewClient(riverpgxv5.New(c.cfg.Pool), &river.Config{
		Schema: migrations.Schema, SkipUnknownJobCheck: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("open queue for the console: %w", err)
	}
	pages, err := riverui.NewHandler(&riverui.HandlerOpts{
		Endpoints: riverui.NewEndpoints(client, nil), Logger: c.cfg.Logger, Prefix: jobsPath,
	})
	if err != nil {
		return nil, fmt.Errorf("open River UI: %w", err)
	}
	return pages, nil
}

// jobs passes requests on to River UI. Each change needs an operator, and is in the audit log
// before it is made.
func (c *Console) jobs(pages http.Handler) handler {
	return func(w http.ResponseWriter, v *visit) error {
		w.Header().Set("Content-Security-Policy", jobsPolicy)
		change := v.Method != http.MethodGet && v.Method != http.MethodHead
		if !strings.HasPrefix(v.URL.Path, jobsAPI) {
			if change {
				return errNotFound
			}
			page := &held{ResponseWriter: w}
			pages.ServeHTTP(page, v.Request)
			page.send()
			return nil
		}
		if change && v.operator == "" {
			return errForbidden
		}
		if !change {
			return c.readJobs(w, v, pages)
		}
		body, err := io.ReadAll(v.Body)
		if err != nil {
			return bad("The request is too large", "Choose fewer jobs at a time.")
		}
		what, err := jobsChange(v.Request, body)
		if err != nil {
			return err
		}
		answer := &held{ResponseWriter: w}
		err = c.inTurn(v, changeTime, func(ctx context.Context) error {
			return c.order(ctx, v, what, func(context.Context) error {
				request := v.WithContext(ctx)
				request.Body = io.NopCloser(bytes.NewReader(body))
				pages.ServeHTTP(answer, request)
				return nil
			})
		})
		if err == nil {
			answer.send()
		}
		return err
	}
}

// readJobs answers a question of River UI, one at a time: its page asks several again and again,
// and each may take long if there are many jobs.
func (c *Console) readJobs(w http.ResponseWriter, v *visit, pages http.Handler) error {
	answer := &held{ResponseWriter: w}
	done, err := c.jobReads.take(v.Context())
	if err != nil {
		return err
	}
	err = c.inTurn(v, readTime, func(ctx context.Context) error {
		request := v.WithContext(ctx)
		request.Body = http.NoBody
		pages.ServeHTTP(answer, request)
		return nil
	})
	done()
	if err == nil {
		answer.send()
	}
	return err
}

// jobsChange returns what a request to River UI changes, for the audit log. A request whose ids the
// log couldn't tell is refused.
func jobsChange(r *http.Request, body []byte) (doing, error) {
	what := doing{
		Action: clerksync.ActionOperatorJobs, Target: strings.TrimPrefix(r.URL.Path, jobsAPI),
		Data: map[string]any{"method": r.Method},
	}
	var asked map[string]any
	if len(body) > 0 && (json.Unmarshal(body, &asked) != nil || asked == nil) {
		return doing{}, bad("The request isn't a JSON object", "Nothing was changed.")
	}
	if len(asked) > 0 {
		what.Data["request"] = asked
	}
	if queue, ok := strings.CutPrefix(r.URL.Path, jobsQueues); ok {
		what.Data["queue"] = strings.Split(queue, "/")[0]
	}
	return what, nil
}

// withBackLink adds a link back to the console to River UI's page.
func withBackLink(page string) string {
	link := `<link rel="stylesheet" href="` + assetPath("jobs.css") + `"></head>`
	page = strings.Replace(page, "</head>", link, 1)
	return strings.Replace(page, `<div id="root"`, `<a id="rolecall" href="/">← Rolecall</a><div id="root"`, 1)
}

// held keeps an answer until it is sent, so that a browser that reads slowly holds no turn.
type held struct {
	http.ResponseWriter

	status int
	body   bytes.Buffer
}

// WriteHeader implements [http.ResponseWriter].
func (h *held) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

// Write implements [http.ResponseWriter].
func (h *held) Write(p []byte) (int, error) { return h.body.Write(p) }

// send sends the answer, with the link if it is a page.
func (h *held) send() {
	text := h.body.String()
	if h.Header().Get("Content-Type") == "" {
		h.Header().Set("Content-Type", http.DetectContentType([]byte(text)))
	}
	if strings.HasPrefix(h.Header().Get("Content-Type"), "text/html") {
		h.Header().Del("Content-Length")
		text = withBackLink(text)
	}
	h.ResponseWriter.WriteHeader(cmp.Or(h.status, http.StatusOK))
	_, _ = io.WriteString(h.ResponseWriter, text) // the browser has gone: nothing is left to do
}

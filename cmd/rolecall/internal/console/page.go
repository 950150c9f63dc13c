package console

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
)

const (
	// statementTime bounds each statement of a page.
	statementTime = 2 * time.Second
	// readTime bounds all reading of a page.
	readTime = 4 * time.Second
)

// page is a page that only reads.
type page struct {
	path     string // as [http.ServeMux] takes it, without a method
	title    string // unless the loader sets another
	template string // templates/NAME.html
	load     func(ctx context.Context, v *visit) (any, error)
	still    any // the data of a page that needs no database, instead of load
}

// show answers with a page.
func (c *Console) show(p page) handler {
	return func(w http.ResponseWriter, v *visit) error {
		v.title = p.title
		if p.still != nil {
			return c.render(w, v, http.StatusOK, p.template, p.still)
		}
		var data any
		err := c.read(v, func(ctx context.Context) (err error) {
			data, err = p.load(ctx, v)
			return err
		})
		if err != nil {
			return err
		}
		return c.render(w, v, http.StatusOK, p.template, data)
	}
}

// read calls do while v.db is a read-only transaction, in which all queries see the same moment. If
// the database answers, and the time is over before do has ended, the error is errSlow.
func (c *Console) read(v *visit, do func(ctx context.Context) error) error {
	answers, over := false, false
	err := c.inTurn(v, readTime, func(ctx context.Context) error {
		defer func() { over = ctx.Err() != nil }()
		options := pgx.TxOptions{AccessMode: pgx.ReadOnly, IsoLevel: pgx.RepeatableRead}
		return pgx.BeginTxFunc(ctx, c.cfg.Pool, options, func(tx pgx.Tx) error {
			if err := store.LimitStatements(ctx, tx, statementTime); err != nil {
				return err
			}
			answers, v.db = true, tx
			defer func() { v.db = nil }()
			return do(ctx)
		})
	})
	if err != nil && answers && over {
		return fmt.Errorf("%w: %w", errSlow, err)
	}
	return err
}

// layout is the data of the template "layout".
type layout struct {
	Title, Section string
	Sections       []section
	Operator       string // "" if the console is read-only
	ReadOnly       bool   // no operator can sign in
	Alarms         int    // -1: unknown
	Said           string // of the change before this page
	Live           bool
	Again          bool // the page loads itself again
	Style, Script  string
	Data           any
}

// render writes a page within the layout.
func (c *Console) render(w http.ResponseWriter, v *visit, status int, template string, data any) error {
	l := layout{
		Title: v.title, Section: sectionOf(v.URL.Path), Sections: c.sections, Operator: v.operator, ReadOnly: !c.signsIn(),
		Alarms: -1, Said: c.takeSaid(w, v), Style: assetPath("style.css"), Script: assetPath("script.js"), Data: data,
		Live: v.admitted, Again: template == "again",
	}
	if !v.admitted {
		l.Sections, l.Section, l.Operator = nil, "", ""
	} else if status != http.StatusServiceUnavailable {
		l.Alarms = c.alarms()
	}
	var body bytes.Buffer
	if err := c.templates.execute(&body, template, l); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the browser has gone: nothing is left to do
	return nil
}

// alarms returns how many alarms there are; -1 if the database can't tell.
func (c *Console) alarms() int {
	now, err := c.cfg.Situation()
	if err != nil {
		return -1
	}
	now.Own = c.cfg.Own()
	return len(now.Alarms())
}

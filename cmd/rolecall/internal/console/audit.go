package console

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func (c *Console) auditPages() []page {
	return []page{
		{path: "/audit", title: "Audit", template: "audit", load: c.audit},
		{path: "/audit/verified", title: "Is the log as recorded?", template: "audit_verified", load: c.verifiedAudit},
		{path: "/audit/access-review", title: "Access review", template: "access_review", load: c.accessReview},
	}
}

const (
	// auditShown is how many entries a page of the list has.
	auditShown = 50
	// auditVerified is how many entries the console verifies: they take about a fifth of a second.
	auditVerified = 10_000
	// instanceLog is what the filter workspace says for the instance's own log.
	instanceLog = "instance"
)

// auditFilter says which entries are listed.
type auditFilter struct {
	Workspace                           string // as it was written: an id, slug or name; "" for all, or instanceLog
	Actor, Action, Target, Since, Until string
}

// narrows reports whether the filter selects some entries of a log.
func (f auditFilter) narrows() bool {
	return f.Actor != "" || f.Action != "" || f.Target != "" || f.Since != "" || f.Until != ""
}

// auditPage is the data of the template "audit".
type auditPage struct {
	Filter   auditFilter
	Of       *named // the workspace whose log it is; nil for all
	Instance bool   // it is the instance's own log
	About    *named // the person about whom entries of several logs are listed; nil for all people
	Advice   string // what to write; then nothing is listed
	Entries  entries
	Pager    pager
	CSV      string // addresses of the files with all that the filters select
	JSON     string
}

// Log returns the name of the log that is listed, as the filter takes it; "" for all logs.
func (p auditPage) Log() string {
	switch {
	case p.Instance:
		return instanceLog
	case p.Of != nil:
		return p.Of.ID
	default:
		return ""
	}
}

func (c *Console) audit(ctx context.Context, v *visit) (any, error) {
	filters := v.URL.Query()
	filters.Del("after")
	data := auditPage{Filter: auditFilterOf(v), CSV: target("/audit/export.csv", filters), JSON: target("/audit/export.jsonl", filters)}
	q, err := c.auditQuery(ctx, v, &data)
	if err != nil || data.Advice != "" {
		return data, err
	}
	var after store.AuditPosition
	if err := v.cursor(&after); err != nil {
		return nil, err
	}
	logged, err := data.read(ctx, v.db, q, after, auditShown+1)
	if err != nil {
		return nil, err
	}
	var next any
	if len(logged) > auditShown {
		logged = logged[:auditShown]
		next = data.place(logged[auditShown-1])
	}
	data.Pager = v.following(next)
	data.Entries.OfWorkspace, data.Entries.OfTarget = data.ofOneLog(), data.About != nil
	data.Entries.List, err = entriesOf(ctx, v.db, logged)
	return data, err
}

// Narrowed reports whether filters select some entries of a log.
func (p auditPage) Narrowed() bool { return p.Filter.narrows() }

// ofOneLog reports whether the entries of a single log are listed.
func (p auditPage) ofOneLog() bool { return p.Of != nil || p.Instance }

func auditFilterOf(v *visit) auditFilter {
	return auditFilter{
		Workspace: v.filter("workspace"), Actor: v.filter("actor"), Action: v.filter("action"), Target: v.filter("target"),
		Since: v.filter("since"), Until: v.filter("until"),
	}
}

// auditQuery returns the query of a page's filters. It fills in whose log it is, or the advice.
func (c *Console) auditQuery(ctx context.Context, v *visit, data *auditPage) (q store.AuditQuery, err error) {
	f := data.Filter
	if q.Target, err = support.TargetID(ctx, v.db, f.Target); err != nil {
		data.Advice, err = adviceFor(err)
		return q, err
	}
	switch {
	case f.Workspace == instanceLog:
		data.Instance = true
	case f.Workspace != "":
		data.Of, data.Advice, err = c.workspaceNamed(ctx, v, f.Workspace)
		if err != nil || data.Advice != "" {
			return q, err
		}
		q.OrganizationID = data.Of.ID
	case strings.HasPrefix(q.Target, clerksync.UserPrefix):
		data.About = new(namedOf(q.Target, q.Target))
	case f.narrows():
		data.Advice = "Filters search one log, unless the target is a person: write which workspace's, or \"instance\" for what happened to users and roles."
		return q, nil
	}
	q.Action = f.Action
	if err = support.CheckAction(f.Action); err == nil {
		q.Actor, err = support.ActorID(ctx, v.db, f.Actor)
	}
	if err != nil {
		data.Advice, err = adviceFor(err)
		return q, err
	}
	if q.Since, err = c.instantOf("since", f.Since); err != nil {
		return q, err
	}
	q.Until, err = c.instantOf("until", f.Until)
	return q, err
}

// workspaceNamed finds the workspace that a text names. If it names none or several, advice says
// so. An id needn't be in the mirror.
func (c *Console) workspaceNamed(ctx context.Context, v *visit, text string) (found *named, advice string, err error) {
	w, err := support.FindWorkspace(ctx, v.db, text)
	if err != nil && clerksync.ValidID(clerksync.OrganizationPrefix, text) && isUnfound(err) {
		return &named{ID: text, Name: text}, "", nil
	}
	if err != nil {
		advice, err = adviceFor(err)
		return nil, advice, err
	}
	return &named{ID: w.ID, Name: support.WorkspaceName(w.Name, w.ID), Path: pathTo("workspaces", w.ID)}, "", nil
}

// instantOf reads an instant that a form names: a date, or RFC 3339.
func (c *Console) instantOf(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil && at.Year() > 1 {
			return at.UTC(), nil
		}
	}
	return time.Time{}, bad("The instant in "+name+" can't be read", "Write a date such as 2026-01-02, or an instant such as 2026-01-02T15:04:05Z.")
}

// read returns entries of one log, about one person, or of all logs by when they were recorded.
func (p auditPage) read(ctx context.Context, db store.DBTX, q store.AuditQuery, after store.AuditPosition, limit int) ([]clerksync.LoggedEntry, error) {
	q.Before = after
	switch {
	case p.ofOneLog():
		return store.AuditEntries(ctx, db, q, limit)
	case p.About != nil:
		return store.EntriesAbout(ctx, db, q, limit)
	default:
		return store.AllAuditEntries(ctx, db, q, after.Seq, limit)
	}
}

// place returns the place of an entry in the list that read returns.
func (p auditPage) place(e clerksync.LoggedEntry) store.AuditPosition {
	if p.ofOneLog() {
		return store.AuditPosition{At: e.At, Seq: e.Seq}
	}
	return store.AuditPosition{At: e.At, Seq: e.ID}
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// verifiedPage is the data of the template "audit_verified".
type verifiedPage struct {
	store.ChainReport

	Filter auditFilter
	Of     *named
	Advice string
	Most   int
}

// verifiedAudit verifies the log of one workspace, or of the instance, up to a number of entries.
func (c *Console) verifiedAudit(ctx context.Context, v *visit) (any, error) {
	data := verifiedPage{Filter: auditFilterOf(v), Most: auditVerified}
	organization := ""
	switch data.Filter.Workspace {
	case "":
		data.Advice = "Say which workspace's log is meant."
		return data, nil
	case instanceLog:
	default:
		var err error
		data.Of, data.Advice, err = c.workspaceNamed(ctx, v, data.Filter.Workspace)
		if err != nil || data.Advice != "" {
			return data, err
		}
		organization = data.Of.ID
	}
	var err error
	data.ChainReport, err = store.VerifyBeginning(ctx, v.db, organization, auditVerified)
	return data, err
}

// isUnfound reports whether a text names nothing in the mirror.
func isUnfound(err error) bool {
	_, unfound := errors.AsType[*support.NotFoundError](err)
	return unfound
}

// adviceFor says in a sentence that a text names nothing, or several things. Other errors stay
// errors.
func adviceFor(err error) (string, error) {
	ambiguous, several := errors.AsType[*support.AmbiguousError](err)
	_, never := errors.AsType[*support.ActionError](err)
	switch {
	case never, isUnfound(err):
		return sentence(err.Error()), nil
	case several:
		ids := []string{}
		for _, u := range ambiguous.Users {
			ids = append(ids, u.ID)
		}
		for _, w := range ambiguous.Workspaces {
			ids = append(ids, w.ID)
		}
		return sentence(err.Error() + ": " + strings.Join(ids, ", ")), nil
	default:
		return "", err
	}
}

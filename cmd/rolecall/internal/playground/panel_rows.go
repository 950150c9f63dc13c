package playground

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/internal/simulator"
)

const (
	// shown is how many rows the panel has, and questions how many decisions each of them has: more
	// than anybody reads.
	shown, questions = 15, 4
	// stampedWithin is how long after a change Clerk may stamp its webhooks.
	stampedWithin = 25 * time.Millisecond
)

// row is one thing that happened, and what followed.
type row struct {
	At, Done    time.Time // before and after it was done
	Title       string
	WorkspaceID string // "" for none, or all
	Status      int    // of Rolecall's answer, or unanswered; 0 if it wasn't asked
	Steps       []step
}

// step is one thing that followed.
type step struct {
	Name, Text  string
	Mark, Class string // how it ended, in a word or two, and its colour
	After       string // how long after the row's time
	at          time.Time
}

func (r *row) add(at time.Time, s step) {
	s.at, s.After = at, "+"+span(at.Sub(r.At))
	r.Steps = append(r.Steps, s)
}

// rows returns what happened last, the newest first. It reports whether Rolecall is still at work.
func (p *Playground) rows(ctx context.Context) (rows []row, waiting bool) {
	rows, decisions, _ := p.history.all()
	for i, r := range rows {
		if r.Status != 0 {
			text, mark := answered(r.Status, r.Done.Sub(r.At))
			rows[i].add(r.Done, step{Name: "Rolecall", Text: text, Mark: mark, Class: class(r.Status)})
		}
	}
	var ids []string
	webhooks := slices.DeleteFunc(p.cfg.Simulator.Webhooks(), func(w simulator.Webhook) bool {
		return w.HappenedAt.Before(p.history.since) || strings.HasPrefix(w.Type, "session.") // these change nothing
	})
	webhooks = webhooks[:min(len(webhooks), shown)]
	for _, w := range webhooks {
		ids = append(ids, w.MessageID)
	}
	applied, err := p.cfg.Ledger(ctx, ids)
	if err != nil && ctx.Err() == nil { // else its reader has gone to another page
		p.cfg.Logger.WarnContext(ctx, "the panel can't read the ledger", "error", err)
	}
	for _, w := range slices.Backward(webhooks) {
		i := causeOf(rows, w)
		if i < 0 {
			i = len(rows)
			rows = append(rows, row{At: w.TakenAt, Done: w.TakenAt, Title: "At Clerk: " + w.Type, WorkspaceID: w.OrganizationID})
		}
		rows[i].sent(w)
		for _, a := range applied {
			if a.MessageID == w.MessageID {
				rows[i].worked(a)
				waiting = waiting || a.State == "received"
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return b.At.Compare(a.At) })
	rows = rows[:min(len(rows), shown)]
	answer(rows, decisions)
	for _, r := range rows {
		slices.SortStableFunc(r.Steps, func(a, b step) int { return a.at.Compare(b.at) })
	}
	return rows, waiting
}

// causeOf returns the index of the action that made a change; -1 if it wasn't made here.
func causeOf(rows []row, w simulator.Webhook) int {
	for i, r := range slices.Backward(rows) {
		same := r.WorkspaceID == w.OrganizationID || r.WorkspaceID == "" || w.OrganizationID == ""
		if same && !w.HappenedAt.Before(r.At.Truncate(time.Millisecond)) && !w.HappenedAt.After(r.Done.Add(stampedWithin)) {
			return i
		}
	}
	return -1
}

// sent appends how a webhook was sent.
func (r *row) sent(w simulator.Webhook) {
	if len(w.Attempts) == 0 {
		r.add(w.TakenAt, step{Name: "Webhook", Text: w.Type, Mark: string(w.Outcome), Class: "warn"})
	}
	for _, a := range w.Attempts {
		r.add(a.At, step{Name: "Webhook", Text: w.Type + " answered in " + span(a.Took), Mark: strconv.Itoa(a.Status), Class: class(a.Status)})
	}
}

// worked appends what a webhook's job did.
func (r *row) worked(a Applied) {
	s := step{Name: "Job", Text: "under way", Mark: a.State, Class: map[string]string{"applied": "ok", "quarantined": "no"}[a.State]}
	switch {
	case a.State == "superseded":
		s.Text = "Rolecall knew this already"
	case !a.AppliedAt.IsZero():
		s.Text = "done in " + span(a.AppliedAt.Sub(a.ReceivedAt))
	}
	r.add(cmp.Or(a.AppliedAt, a.ReceivedAt), s)
	if class(r.Status) == "ok" && r.Done.Before(a.AppliedAt) {
		a.AppliedAt = r.Done // when Rolecall answered, it had recorded the command's change
	}
	for _, change := range a.Changes[:min(len(a.Changes), questions)] {
		r.add(a.AppliedAt, step{Name: "Changed", Text: change})
	}
}

// answer appends to each row the decisions that the product got next, one of each kind. If they are
// too many, it prefers refusals.
func answer(rows []row, decisions []Decision) {
	seen, said := map[string]bool{}, map[int]int{}
	slices.SortStableFunc(decisions, func(a, b Decision) int { return strings.Compare(class(a.Status), class(b.Status)) })
	for _, d := range decisions {
		i := slices.IndexFunc(rows, func(r row) bool {
			return !d.At.Before(r.Done) && (r.WorkspaceID == "" || r.WorkspaceID == d.WorkspaceID)
		})
		kind := fmt.Sprint(i, d.Status, d.UserID, d.Permission)
		if i < 0 || seen[kind] || said[i] == questions {
			continue
		}
		seen[kind] = true
		said[i]++
		text, mark := answered(d.Status, d.Took)
		rows[i].add(d.At, step{
			Name: "Then", Text: fmt.Sprintf("%s asks for %s, %s", d.Person, d.Permission, text),
			Mark: strings.TrimSpace(mark + " " + d.Reason), Class: class(d.Status),
		})
	}
}

// answered says how Rolecall answered.
func answered(status int, took time.Duration) (text, mark string) {
	if status == unanswered {
		return "within " + span(took), "didn't answer"
	}
	return "answered in " + span(took), strconv.Itoa(status)
}

// span says how long something took.
func span(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.3g ms", float64(max(d, 0))/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// class is the colour of a status.
func class(status int) string {
	if status >= 200 && status < 300 {
		return "ok"
	}
	return "no"
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// sweepPatience is how long Sweep takes at most: many times what it needs for a small world.
	sweepPatience = 30 * time.Second
	// sweepPoll is how often Sweep tries while another sweep runs.
	sweepPoll = 50 * time.Millisecond
)

// Sweep compares the mirror with Clerk and says in words what it repaired, or why it couldn't. It
// returns after a sweep that began after the call.
func (i *instruments) Sweep(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, sweepPatience, errors.New("the sweep didn't end in time"))
	defer cancel()
	began, err := store.Now(ctx, i.db)
	if err != nil {
		return "", err
	}
	for {
		report, err := i.sweeper.Run(ctx, sweep.Options{Trigger: sweep.TriggerCommand})
		switch {
		case errors.Is(err, sweep.ErrRunning):
		case errors.Is(err, clerksync.ErrUnavailable):
			return "Clerk doesn't answer, so nothing was compared and nothing removed: sweep again when it does.", nil
		case report.Aborted:
			return "The sweep stopped, and removed nothing: " + report.Detail + ". What to do: " + health.AdviceFor(report.Reason) + ".", nil
		case err != nil:
			return "", errors.Join(err, context.Cause(ctx))
		default:
			swept, err := store.FindSweep(ctx, i.db, report.SweepID)
			if err != nil {
				return "", err
			}
			if !swept.StartedAt.Before(began) {
				changed, err := i.changesOf(ctx, report.SweepID)
				return repaired(report) + changed, err
			}
			continue // it went on with one that was interrupted before, and may have missed what changed since
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("wait for another sweep: %w", context.Cause(ctx))
		case <-time.After(sweepPoll):
		}
	}
}

// changesTold is how many changes of a sweep are told: as many as anybody reads.
const changesTold = 5

// changesOf says in words what a sweep that has just ended changed; "" if that was nothing. Each
// sentence has a blank before it.
func (i *instruments) changesOf(ctx context.Context, sweepID string) (said string, err error) {
	newest, err := store.AllAuditEntries(ctx, i.db, store.AuditQuery{}, 0, 100)
	if err != nil {
		return "", err
	}
	entries := slices.DeleteFunc(newest, func(e clerksync.LoggedEntry) bool { return e.Cause != sweepID })
	slices.Reverse(entries)
	told, err := sentences(ctx, i.db, entries[:min(len(entries), changesTold)])
	if len(told) > 0 {
		said = " " + strings.Join(told, ". ") + "."
	}
	if more := len(entries) - len(told); more > 0 {
		said += fmt.Sprintf(" And %s more.", counted(more, "change"))
	}
	return said, err
}

// repaired says what a sweep found.
func repaired(report sweep.Report) string {
	var found []string
	for _, kind := range clerksync.Resources() {
		counts := report.ByKind[kind]
		if counts == nil {
			continue
		}
		for _, part := range []struct {
			n   int
			did string
		}{{counts.Missing, "added"}, {counts.Stale, "updated"}, {counts.Extra, "removed"}} {
			if part.n > 0 {
				found = append(found, fmt.Sprintf("%s %s", counted(part.n, string(kind)), part.did))
			}
		}
	}
	if len(found) == 0 {
		return fmt.Sprintf("Compared %s with Clerk: nothing differed.", counted(report.Listed, "object"))
	}
	return fmt.Sprintf("Compared %s with Clerk, and repaired what differed: %s.", counted(report.Listed, "object"), strings.Join(found, ", "))
}

// counted writes a number before a word.
func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

package config

import (
	"errors"
	"time"
)

const (
	// leastLedger is above the 28 hours for which Clerk's sender repeats a webhook by itself: the
	// ledger knows all of these repeats.
	leastLedger = 7 * 24 * time.Hour
	// leastSessions and leastCommands are SessionsNamed and KeysCount of package store.
	leastSessions = 8 * 24 * time.Hour
	leastCommands = 24 * time.Hour
	// leastJobs lets an operator read why a job failed.
	leastJobs = time.Hour
	// leastDoneJobs lets the pages of jobs show what has just been done.
	leastDoneJobs = time.Minute
	// leastAudit is above the time after which a delivery still comes late, or is replayed.
	leastAudit = 30 * 24 * time.Hour
)

// checkRetention returns an error for each life that is too short.
func (c Config) checkRetention() error {
	var errs []error
	for _, s := range []struct {
		name        string
		life, least time.Duration
		written     string // least, as people write it
		why         string
	}{
		{"ROLECALL_BODY_RETENTION", c.BodyRetention, 0, "0", ""},
		{"ROLECALL_LEDGER_RETENTION", c.LedgerRetention, leastLedger, "7d", "Clerk repeats webhooks for more than a day"},
		{"ROLECALL_SESSION_RETENTION", c.SessionRetention, leastSessions, "8d", "a token may name an ended session for so long"},
		{"ROLECALL_COMMAND_RETENTION", c.CommandRetention, leastCommands, "24h", "an Idempotency-Key counts for so long"},
		{"ROLECALL_JOB_RETENTION", c.JobRetention, leastJobs, "1h", "you couldn't read why a job failed"},
		{"ROLECALL_DONE_JOB_RETENTION", c.DoneJobRetention, leastDoneJobs, "1m", "you couldn't see what has just been done"},
		{"ROLECALL_AUDIT_RETENTION", c.AuditRetention, leastAudit, "30d", "late and replayed webhooks still write about the last days"},
	} {
		switch {
		case s.life < 0:
			errs = append(errs, wrong(s.name, "it must not be negative: write 0 for ever"))
		case s.life > 0 && s.life < s.least:
			errs = append(errs, wrong(s.name, "it is too short, because %s: write %s or more, or 0 for ever", s.why, s.written))
		}
	}
	return errors.Join(errs...)
}

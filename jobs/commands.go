package jobs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// commandTimeout bounds one command from the moment at which it is recorded. It must be below the 20 s after which a command that
	// didn't end counts as abandoned (store/queries/command.sql).
	commandTimeout = 15 * time.Second
	// recordTimeout is what of it recording may take, so that an answer of Clerk's that came late is recorded still.
	recordTimeout = 3 * time.Second
	// defaultLookAgainAfter tells an empty answer that passes from an end: a fault of one of Clerk's servers is over by then.
	defaultLookAgainAfter = 2 * time.Second
)

// Commands changes things at Clerk. Each returns the object as it is after the change (of a membership that ended, as it was); its
// errors are what package sync says of commands.
type Commands interface {
	CreateOrganization(ctx context.Context, name, createdBy, slug string) (json.RawMessage, error)
	UpdateOrganization(ctx context.Context, id, name string) (json.RawMessage, error)
	UpdateMembership(ctx context.Context, organizationID, userID, role string) (json.RawMessage, error)
	DeleteMembership(ctx context.Context, organizationID, userID string) (json.RawMessage, error)
	CreateInvitation(ctx context.Context, organizationID, inviterUserID, email, role string) (json.RawMessage, error)
	RevokeInvitation(ctx context.Context, organizationID, id, requestingUserID string) (json.RawMessage, error)
	// Begin returns a context for all calls of one command.
	Begin(ctx context.Context, action clerksync.Action) context.Context
	// Find looks one object up, as [Directory] does.
	Find(ctx context.Context, r clerksync.Resource, ref clerksync.Reference) ([]json.RawMessage, error)
	// UserMemberships lists what a user belongs to.
	UserMemberships(ctx context.Context, userID string) ([]json.RawMessage, error)
	// PendingInvitations lists the pending invitations of an address to an organization.
	PendingInvitations(ctx context.Context, organizationID, email string) ([]json.RawMessage, error)
}

// CommanderConfig configures a [Commander].
type CommanderConfig struct {
	// Pool is where commands are recorded and the mirror is changed.
	Pool DB
	// Clerk is asked with the calls of one command.
	Clerk Commands
	// Allowed says whether Clerk may be asked: the secret key must be of the mirror's instance. Optional.
	Allowed func() error
	// LookAgainAfter is how long a command waits, after Clerk didn't show its actor's membership, before it asks once more.
	// Defaults to 2 s.
	LookAgainAfter time.Duration
	// Logger gets what of a command goes wrong after Clerk has carried it out.
	Logger *slog.Logger
}

// Commander gives commands to Clerk and brings what they change into the mirror. A command is recorded before Clerk is asked, so
// that whoever hears of the change first, be it a webhook, knows who made it.
type Commander struct {
	cfg    CommanderConfig
	shares *store.Shares // of the pool, for each organization
}

// NewCommander returns a commander.
func NewCommander(cfg CommanderConfig) (*Commander, error) {
	switch {
	case cfg.Pool == nil:
		return nil, errors.New("commander: Pool is missing")
	case cfg.Clerk == nil:
		return nil, errors.New("commander: Clerk is missing")
	case cfg.Logger == nil:
		return nil, errors.New("commander: Logger is missing")
	}
	if cfg.Allowed == nil {
		cfg.Allowed = func() error { return nil }
	}
	if cfg.LookAgainAfter == 0 {
		cfg.LookAgainAfter = defaultLookAgainAfter
	}
	return &Commander{cfg: cfg, shares: store.NewShares(1)}, nil
}

// Run carries a command out and returns the answer that was made from the mirror after it, or what was answered before to the same
// request with the same key (repeated is true then). Its errors are Clerk's refusals, and clerksync.ErrKeyReused, ErrInProgress,
// ErrOutcomeUnknown and ErrNotRecorded, and those of the hooks. Once it is recorded, a command goes on when ctx ends.
func (c *Commander) Run(ctx context.Context, command clerksync.Command, key store.CommandKey, hooks store.CommandHooks,
) (answered json.RawMessage, repeated bool, err error) {
	if err := c.cfg.Allowed(); err != nil {
		return nil, false, fmt.Errorf("%w: %w", clerksync.ErrUnavailable, err)
	}
	r := &commandRun{Commander: c, command: command, id: "cmd_" + rand.Text(), hooks: hooks}
	answered, err = r.begin(ctx, key)
	if answered != nil || err != nil {
		return answered, err == nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTimeout)
	defer cancel()
	asking, cancel := context.WithTimeout(ctx, commandTimeout-recordTimeout)
	defer cancel()
	facts, err := r.send(c.cfg.Clerk.Begin(asking, command.Action))
	if err != nil {
		r.fail(ctx, err)
		return nil, false, err
	}
	answered, err = r.record(ctx, facts)
	if r.made && errors.Is(err, store.ErrNotFound) { // and is gone again
		r.end(ctx, store.CommandUnknown)
		return nil, false, fmt.Errorf("repeat command: %w", clerksync.ErrGone)
	}
	if err != nil {
		c.cfg.Logger.ErrorContext(ctx, "record command", "command_id", r.id, "action", string(command.Action), "error", err)
		r.end(ctx, store.CommandUnknown)
		return nil, false, fmt.Errorf("%w: %w", clerksync.ErrNotRecorded, err)
	}
	return answered, false, nil
}

// commandRun is one command under way.
type commandRun struct {
	*Commander

	id      string
	command clerksync.Command
	hooks   store.CommandHooks
	askedAt time.Time // by the database's clock, before Clerk is asked; no two tries of a command have the same
	// since is when Clerk was first given a command that was cut short, so that it may have carried it out; zero for a first try.
	since time.Time
	made  bool // somebody has told of what it changed then
}

// shared is the pool, of which the command's organization uses no more than its share. Who creates one is in its place.
func (r *commandRun) shared() shared {
	of := r.command.OrganizationID
	if of == "" {
		of = r.command.Actor
	}
	return shared{pool: r.cfg.Pool, shares: r.shares, workspace: of}
}

// begin records the command, or returns what was answered to an earlier one with the same key.
func (r *commandRun) begin(ctx context.Context, key store.CommandKey) (answered json.RawMessage, err error) {
	err = r.shared().inTx(ctx, func(tx pgx.Tx) error {
		var earlier *store.EarlierCommand
		if r.askedAt, earlier, err = store.BeginCommand(ctx, tx, r.id, r.command, key); err == nil && earlier != nil {
			answered, err = r.resume(ctx, tx, *earlier)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("begin command: %w", err)
	}
	return answered, nil
}

// resume decides what a key that comes again means. One that was cut short is tried once more, under its first name.
func (r *commandRun) resume(ctx context.Context, tx pgx.Tx, earlier store.EarlierCommand) (answered json.RawMessage, err error) {
	switch {
	case !earlier.Same:
		return nil, clerksync.ErrKeyReused
	case earlier.State == store.CommandDone:
		return earlier.Answer, nil
	case earlier.State == store.CommandBegun && earlier.Recent:
		return nil, clerksync.ErrInProgress
	case earlier.State != store.CommandFailed:
		r.since, r.made = earlier.SentAt, earlier.Audited
	}
	if r.made {
		r.command.OrganizationID, r.command.Target = earlier.OrganizationID, earlier.Target
	}
	r.id = earlier.ID
	r.askedAt, err = store.TryCommandAgain(ctx, tx, r.id)
	return nil, err
}

// record brings what Clerk answered into the mirror, audits it and ends the command, in one transaction.
func (r *commandRun) record(ctx context.Context, facts []clerksync.Facts) (answered json.RawMessage, err error) {
	for range maxRaces {
		err = r.shared().inTx(ctx, func(tx pgx.Tx) (err error) {
			answered, err = r.recordIn(ctx, tx, facts)
			return err
		})
		if err == nil || ctx.Err() != nil || blameFor(err) != ofCircumstances {
			break
		}
	}
	return answered, err
}

func (r *commandRun) recordIn(ctx context.Context, tx pgx.Tx, facts []clerksync.Facts) (json.RawMessage, error) {
	known, err := store.ReadMirror(ctx, tx, facts)
	if err != nil {
		return nil, err
	}
	var changes clerksync.Changes
	if news := known.News(facts); len(news) > 0 {
		locked, err := store.LockMirror(ctx, tx, news)
		if err != nil {
			return nil, err
		}
		changes = locked.ObserveAll(news, r.askedAt.UnixMilli(), r.id)
		if err := store.SaveMirror(ctx, tx, locked, changes.Mirror); err != nil {
			return nil, err
		}
	}
	outcome := store.Writes{Entries: changes.Entries, Changed: changes.Mirror, Recorded: r.id}
	if err := store.Finish(ctx, tx, outcome, r.askedAt); err != nil {
		return nil, err
	}
	if err := store.NameCommand(ctx, tx, r.id, r.askedAt, r.command); err != nil {
		return nil, err
	}
	answered, err := r.hooks.Answer(ctx, tx, r.command)
	if err != nil {
		return nil, err
	}
	return answered, store.EndCommand(ctx, tx, r.id, r.askedAt, store.CommandDone, answered)
}

// fail records that a command ended without an effect, or that nobody knows.
func (r *commandRun) fail(ctx context.Context, err error) {
	state := store.CommandFailed
	if errors.Is(err, clerksync.ErrOutcomeUnknown) || !r.since.IsZero() {
		state = store.CommandUnknown
	}
	r.end(ctx, state)
}

// end records how the command ended. If that fails, it counts as abandoned after a while.
func (r *commandRun) end(ctx context.Context, state store.CommandState) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	err := r.shared().inTurn(ctx, func() error { return store.EndCommand(ctx, r.cfg.Pool, r.id, r.askedAt, state, nil) })
	if err != nil {
		r.cfg.Logger.WarnContext(ctx, "record the end of a command", "command_id", r.id, "error", err)
	}
}

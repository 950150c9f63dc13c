package command

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// commandTimeout bounds one command from the moment at which it is recorded. It must be below
	// the 20 s after which a command that didn't end counts as abandoned
	// (store/queries/command.sql).
	commandTimeout = 15 * time.Second
	// recordTimeout is the part of commandTimeout that is reserved for recording Clerk's answer, so
	// that a late answer can still be recorded.
	recordTimeout = 3 * time.Second
	// defaultLookAgainAfter is how long a command waits before it asks again for a membership that
	// Clerk didn't show. By then, a fault of one of Clerk's servers is over: a second empty answer
	// means an ended membership.
	defaultLookAgainAfter = 2 * time.Second
)

// Clerk carries out commands. Each method that changes an object returns it as it is after the
// change; a membership that ended, as it was. Errors are those that package sync has for commands.
type Clerk interface {
	CreateOrganization(ctx context.Context, name, createdBy, slug string) (json.RawMessage, error)
	UpdateOrganization(ctx context.Context, id, name string) (json.RawMessage, error)
	UpdateMembership(ctx context.Context, organizationID, userID, role string) (json.RawMessage, error)
	DeleteMembership(ctx context.Context, organizationID, userID string) (json.RawMessage, error)
	CreateInvitation(ctx context.Context, organizationID, inviterUserID, email, role string) (json.RawMessage, error)
	RevokeInvitation(ctx context.Context, organizationID, id, requestingUserID string) (json.RawMessage, error)
	// Begin returns a context for all calls of one command.
	Begin(ctx context.Context, action clerksync.Action) context.Context
	// Find looks one object up. It returns none only if Clerk says that there is none.
	Find(ctx context.Context, r clerksync.Resource, ref clerksync.Reference) ([]json.RawMessage, error)
	// UserMemberships lists the memberships of a user.
	UserMemberships(ctx context.Context, userID string) ([]json.RawMessage, error)
	// PendingInvitations lists the pending invitations of an address to an organization.
	PendingInvitations(ctx context.Context, organizationID, email string) ([]json.RawMessage, error)
}

// Config configures a [Commander].
type Config struct {
	// Pool is where commands are recorded and the mirror is changed.
	Pool merge.DB
	// Clerk carries the commands out.
	Clerk Clerk
	// Allowed says whether Clerk may be asked: the secret key must be of the mirror's instance.
	// Optional.
	Allowed func() error
	// LookAgainAfter is how long a command waits, after Clerk didn't show its actor's membership,
	// before it asks once more. Defaults to 2 s.
	LookAgainAfter time.Duration
	// Acknowledged is called with the id of each command that is done, before Run returns, also if an
	// earlier try did it, at another process. first is when the first try began. Optional.
	Acknowledged func(commandID string, first time.Time)
	// Logger is told of failures after Clerk has carried a command out.
	Logger *slog.Logger
}

// Commander gives commands to Clerk and brings what they change into the mirror. A command is
// recorded before Clerk is asked, so that a webhook or a sweep that shows the change first finds
// its actor.
type Commander struct {
	cfg  Config
	pool *merge.Pool
}

// New returns a commander.
func New(cfg Config) (*Commander, error) {
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
	if cfg.Acknowledged == nil {
		cfg.Acknowledged = func(string, time.Time) {}
	}
	if cfg.LookAgainAfter == 0 {
		cfg.LookAgainAfter = defaultLookAgainAfter
	}
	return &Commander{cfg: cfg, pool: merge.NewPool(cfg.Pool, 0)}, nil
}

// May returns an error if the mirror doesn't let the actor give a command. By then the mirror has
// the actor's membership as Clerk shows it. A nil May means that Clerk checks this itself, or that
// every user may give the command.
type May = func(ctx context.Context, db store.DBTX) error

// Answer makes the answer to a command from the mirror as it is after the command. It runs in the
// transaction that records the command. By then the command has all its ids.
type Answer = func(ctx context.Context, db store.DBTX, done clerksync.Command) (json.RawMessage, error)

// Run carries a command out and returns its answer, which answer makes from the mirror. If the same
// request with the same key was answered before, Run returns that answer, and repeated is true. Its
// errors are Clerk's refusals, clerksync.ErrKeyReused, ErrInProgress, ErrOutcomeUnknown and
// ErrNotRecorded, and those of may and answer. Once a command is recorded, it continues even if ctx
// ends.
func (c *Commander) Run(ctx context.Context, command clerksync.Command, key store.CommandKey, may May, answer Answer,
) (answered json.RawMessage, repeated bool, err error) {
	if err := c.cfg.Allowed(); err != nil {
		return nil, false, fmt.Errorf("%w: %w", clerksync.ErrUnavailable, err)
	}
	r := &run{Commander: c, command: command, id: "cmd_" + rand.Text(), first: time.Now(), may: may, answer: answer}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.String("rolecall.command_id", r.id))
	}
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
	if r.alreadyApplied && errors.Is(err, store.ErrNotFound) { // and the object is gone again
		r.end(ctx, store.CommandUnknown)
		return nil, false, fmt.Errorf("repeat command: %w", clerksync.ErrGone)
	}
	if err != nil {
		c.cfg.Logger.ErrorContext(ctx, "record command", "command_id", r.id, "action", string(command.Action), "error", err)
		r.end(ctx, store.CommandUnknown)
		return nil, false, fmt.Errorf("%w: %w", clerksync.ErrNotRecorded, err)
	}
	c.cfg.Acknowledged(r.id, r.first)
	r.tell(ctx, store.CommandDone)
	return answered, false, nil
}

// tell logs how a try of a command ended. By this line, the log of its request and the audit entry
// lead to each other.
func (r *run) tell(ctx context.Context, state store.CommandState) {
	r.cfg.Logger.InfoContext(ctx, "command ended", "command_id", r.id, "action", string(r.command.Action), "state", string(state),
		"workspace_id", r.command.OrganizationID, "target", r.command.Target)
}

// run is one command under way.
type run struct {
	*Commander

	id      string
	command clerksync.Command
	first   time.Time // when the first try began
	may     May
	answer  Answer
	askedAt time.Time // by the database's clock, before Clerk is asked; each try of a command has another one
	// since is when Clerk was first given a command that was interrupted: Clerk may have carried it
	// out. It is zero on a first try.
	since time.Time
	// alreadyApplied says that the first try took effect, as a webhook or a sweep has shown.
	alreadyApplied bool
}

// workspace names the workspace in whose turn the command uses the pool. That is the command's
// organization, or its actor while it has no organization.
func (r *run) workspace() string { return cmp.Or(r.command.OrganizationID, r.command.Actor) }

// begin records the command, or returns the answer to an earlier one with the same key.
func (r *run) begin(ctx context.Context, key store.CommandKey) (answered json.RawMessage, err error) {
	var earlier *store.EarlierCommand
	err = r.pool.Tx(ctx, r.workspace(), merge.Retry{Locks: merge.LockPatience}, func(tx pgx.Tx) (err error) {
		r.askedAt, earlier, err = store.BeginCommand(ctx, tx, r.id, r.command, key)
		if err == nil && earlier != nil {
			answered, err = r.resume(ctx, tx, *earlier)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("begin command: %w", err)
	}
	if earlier != nil {
		r.first = earlier.BegunAt
	}
	if answered != nil {
		r.cfg.Acknowledged(earlier.ID, r.first)
	}
	return answered, nil
}

// resume decides what a repeated key means. An interrupted command is tried again, under its first
// id.
func (r *run) resume(ctx context.Context, tx pgx.Tx, earlier store.EarlierCommand) (answered json.RawMessage, err error) {
	switch {
	case !earlier.Same:
		return nil, clerksync.ErrKeyReused
	case earlier.State == store.CommandDone:
		return earlier.Answer, nil
	case earlier.State == store.CommandBegun && earlier.Recent:
		return nil, clerksync.ErrInProgress
	case earlier.State != store.CommandFailed:
		r.since = earlier.SentAt
		r.alreadyApplied = earlier.Audited
	}
	if r.alreadyApplied {
		r.command.OrganizationID, r.command.Target = earlier.OrganizationID, earlier.Target
	}
	r.id = earlier.ID
	r.askedAt, err = store.TryCommandAgain(ctx, tx, r.id, r.command.RequestID)
	return nil, err
}

// record merges Clerk's answer into the mirror, audits it and ends the command, in one transaction.
func (r *run) record(ctx context.Context, facts []clerksync.Facts) (answered json.RawMessage, err error) {
	err = r.pool.Tx(ctx, r.workspace(), merge.Thorough(), func(tx pgx.Tx) (err error) {
		answered, err = r.recordIn(ctx, tx, facts)
		return err
	})
	return answered, err
}

func (r *run) recordIn(ctx context.Context, tx pgx.Tx, facts []clerksync.Facts) (json.RawMessage, error) {
	observed := merge.Observed{Facts: facts, AskedAt: r.askedAt, Cause: r.id, Command: r.id}
	if _, err := merge.Observation(ctx, tx, observed); err != nil {
		return nil, err
	}
	if err := store.NameCommand(ctx, tx, r.id, r.askedAt, r.command); err != nil {
		return nil, err
	}
	answered, err := r.answer(ctx, tx, r.command)
	if err != nil {
		return nil, err
	}
	return answered, store.EndCommand(ctx, tx, r.id, r.askedAt, store.CommandDone, answered)
}

// fail records that a command ended without an effect, or with an unknown one.
func (r *run) fail(ctx context.Context, err error) {
	state := store.CommandFailed
	if errors.Is(err, clerksync.ErrOutcomeUnknown) || !r.since.IsZero() {
		state = store.CommandUnknown
	}
	r.end(ctx, state)
}

// end records how the command ended. If that can't be recorded, the command counts as abandoned
// after a while.
func (r *run) end(ctx context.Context, state store.CommandState) {
	r.tell(ctx, state)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	err := r.pool.InTurn(ctx, r.workspace(), func() error { return store.EndCommand(ctx, r.cfg.Pool, r.id, r.askedAt, state, nil) })
	if err != nil {
		r.cfg.Logger.WarnContext(ctx, "record the end of a command", "command_id", r.id, "error", err)
	}
}

package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// CommandKey makes a repeated command harmless. The zero value stands for no key.
type CommandKey struct {
	Digest  []byte // of the caller's key and the scope in which it is unique
	Request []byte // digest of the request; a key stands for one request only
}

// CommandState says how far a command is. The values are stored; never change them.
type CommandState string

// The states of a command.
const (
	CommandBegun   CommandState = "begun"   // Clerk may be asked at this moment, or the process died
	CommandUnknown CommandState = "unknown" // Clerk was asked, and may have carried it out
	CommandDone    CommandState = "done"    // recorded in the mirror, and answered
	CommandFailed  CommandState = "failed"  // nothing has changed
)

// EarlierCommand is the command that a key was used for before.
type EarlierCommand struct {
	ID      string
	State   CommandState
	BegunAt time.Time // its record lives for [KeysCount] from then on, or longer
	SentAt  time.Time // when it was first sent to Clerk; zero for never
	Recent  bool      // tried so lately that it may be running
	Audited bool      // the audit log has its change
	Same    bool      // the same request
	Answer  json.RawMessage

	OrganizationID, Target string // what it changed, as far as that is known
}

// BeginCommand records that a command is about to be given. It returns the present instant, which
// names this try. If its key was used before, it records nothing and returns the earlier command,
// locked until the transaction ends.
func BeginCommand(ctx context.Context, db DBTX, id string, c clerksync.Command, key CommandKey) (triedAt time.Time, earlier *EarlierCommand, err error) {
	q := queries()
	if key.Digest != nil {
		if err := q.ForgetKey(ctx, db, key.Digest); err != nil {
			return time.Time{}, nil, fmt.Errorf("forget command: %w", err)
		}
	}
	triedAt, err = q.AddCommand(ctx, db, dbsqlc.AddCommandParams{
		ID: id, Actor: c.Actor, Action: string(c.Action), OrganizationID: c.OrganizationID, Target: c.Target, Outcome: c.Outcome(),
		Key: key.Digest, Request: key.Request, Impersonator: c.Impersonator, RequestID: c.RequestID,
	})
	if err == nil {
		return triedAt, nil, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, nil, fmt.Errorf("begin command: %w", err)
	}
	r, err := q.LockCommand(ctx, db, key.Digest)
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("find earlier command: %w", err)
	}
	earlier = &EarlierCommand{
		ID: r.ID, State: CommandState(r.State), BegunAt: r.BegunAt, Recent: r.Recent, Audited: r.Audited, Same: bytes.Equal(r.Request, key.Request),
		Answer: r.Answer, OrganizationID: r.OrganizationID, Target: r.Target,
	}
	if r.SentAt != nil {
		earlier.SentAt = *r.SentAt
	}
	return time.Time{}, earlier, nil
}

// TryCommandAgain records that an earlier command is about to be given once more, for a request
// with the given id. It returns the present instant, which names this try.
func TryCommandAgain(ctx context.Context, db DBTX, id, requestID string) (triedAt time.Time, err error) {
	if triedAt, err = queries().TryCommandAgain(ctx, db, dbsqlc.TryCommandAgainParams{ID: id, RequestID: requestID}); err != nil {
		return time.Time{}, fmt.Errorf("try command again: %w", err)
	}
	return triedAt, nil
}

// MadeByAnother reports whether another command made the organization.
func MadeByAnother(ctx context.Context, db DBTX, id, organizationID string) (bool, error) {
	made, err := queries().MadeByAnother(ctx, db, dbsqlc.MadeByAnotherParams{OrganizationID: organizationID, ID: id})
	if err != nil {
		return false, fmt.Errorf("find who made organization: %w", err)
	}
	return made, nil
}

// SendCommand records that a command is about to be sent to Clerk: later changes of its kind may be
// its effect. Errors wrap [ErrOutlived].
func SendCommand(ctx context.Context, db DBTX, id string, triedAt time.Time) error {
	sent, err := queries().SendCommand(ctx, db, dbsqlc.SendCommandParams{ID: id, TriedAt: triedAt})
	if err == nil && sent == 0 {
		err = ErrOutlived
	}
	if err != nil {
		return fmt.Errorf("send command: %w", err)
	}
	return nil
}

// NameCommand records the ids of what Clerk made, unless a later try has begun. [Save] has locked
// the command (Writes.Recorded).
func NameCommand(ctx context.Context, db DBTX, id string, triedAt time.Time, c clerksync.Command) error {
	err := queries().NameCommand(ctx, db, dbsqlc.NameCommandParams{
		ID: id, OrganizationID: c.OrganizationID, Target: c.Target, TriedAt: triedAt,
	})
	if err != nil {
		return fmt.Errorf("name command: %w", err)
	}
	return nil
}

// EndCommand records how a try of a command ended, and the answer if it is done. Once a later try
// has begun, EndCommand changes nothing: only the end of the later try counts.
func EndCommand(ctx context.Context, db DBTX, id string, triedAt time.Time, state CommandState, answer json.RawMessage) error {
	p := dbsqlc.EndCommandParams{ID: id, State: string(state), Answer: answer, TriedAt: triedAt}
	if err := queries().EndCommand(ctx, db, p); err != nil {
		return fmt.Errorf("end command: %w", err)
	}
	return nil
}

// OwnCommand reports whether the actor may not ask any more because of a command that changed the
// actor's own membership. The key must stand for the same request. The command must be done or have
// taken effect, and the membership must not have changed since.
func OwnCommand(ctx context.Context, db DBTX, actor string, key CommandKey) (bool, error) {
	own, err := queries().OwnCommand(ctx, db, dbsqlc.OwnCommandParams{Key: key.Digest, Request: key.Request, Actor: actor})
	if err != nil {
		return false, fmt.Errorf("find own command: %w", err)
	}
	return own, nil
}

// KeysCount is how long a command's key counts, as clients of such interfaces expect. The queries
// of commands have the same number.
const KeysCount = 24 * time.Hour

// PruneCommands deletes at most limit commands that were begun longer ago than age, and returns
// their number. An age below [KeysCount] would let a repeat act again. The audit log still names
// the actors of the changes.
func PruneCommands(ctx context.Context, db DBTX, age time.Duration, limit int) (int, error) {
	n, err := queries().PruneCommands(ctx, db, dbsqlc.PruneCommandsParams{Seconds: age.Seconds(), Batch: pageSize(limit)})
	if err != nil {
		return 0, fmt.Errorf("prune commands: %w", err)
	}
	return int(n), nil
}

// attributable reports whether a command can make an audit entry with this action.
func attributable(a clerksync.Action) bool {
	return slices.Contains([]clerksync.Action{
		clerksync.ActionWorkspaceCreated, clerksync.ActionWorkspaceRenamed, clerksync.ActionMemberJoined,
		clerksync.ActionMemberRoleChanged, clerksync.ActionMemberRemoved, clerksync.ActionInvitationSent, clerksync.ActionInvitationRevoked,
	}, a)
}

// findOpen adds a query for the commands that may have made the entries, and the one that is being
// recorded. It locks them. So it comes after the locks of [LockMirror] and before the counters of
// changes. If no command can have made an entry, it adds nothing.
func findOpen(p *pipeline, w Writes, open *[]clerksync.OpenCommand) {
	by := dbsqlc.OpenCommandsParams{Recorded: w.Recorded}
	for _, e := range w.Entries {
		if !attributable(e.Action) {
			continue
		}
		by.OrganizationIds = append(by.OrganizationIds, e.OrganizationID)
		by.Targets = append(by.Targets, e.Target)
		by.Actions = append(by.Actions, string(e.Action))
		switch e.Action {
		case clerksync.ActionWorkspaceCreated:
			by.Creators = append(by.Creators, e.Actor)
		case clerksync.ActionMemberJoined:
			by.Creators = append(by.Creators, e.Target)
		default:
		}
	}
	if len(by.Targets) == 0 && by.Recorded == "" {
		return
	}
	query(p, dbsqlc.OpenCommands, func(r dbsqlc.OpenCommandsRow) error {
		*open = append(*open, clerksync.OpenCommand{ID: r.ID, Result: r.Outcome, Audited: r.Audited, Command: clerksync.Command{
			Actor: r.Actor, Impersonator: r.Impersonator, Action: clerksync.Action(r.Action), OrganizationID: r.OrganizationID, Target: r.Target,
		}})
		return nil
	}, by.Recorded, by.OrganizationIds, by.Actions, by.Targets, by.Creators)
}

// markAudited adds the statement that records which changes are attributed to which commands.
func markAudited(p *pipeline, attributions []clerksync.Attribution) {
	if len(attributions) == 0 {
		return
	}
	var made dbsqlc.MarkAuditedParams
	for _, a := range attributions {
		made.Ids = append(made.Ids, a.CommandID)
		made.OrganizationIds = append(made.OrganizationIds, a.OrganizationID)
		made.Targets = append(made.Targets, a.Target)
		made.Causes = append(made.Causes, a.Cause)
	}
	p.exec(dbsqlc.MarkAudited, nil, made.Ids, made.OrganizationIds, made.Targets, made.Causes)
}

package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/request"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// answerFunc makes the answer to a command, in the transaction that records the change and reads
// the mirror after it. By then the command has all its ids.
type answerFunc = func(ctx context.Context, db store.DBTX, done clerksync.Command) (json.RawMessage, error)

// Commander carries out commands, at Clerk first and then in the mirror.
type Commander interface {
	// Run carries out a command and returns its answer. If the command was carried out before, Run
	// returns the first answer, and repeated is true. Its errors are package sync's errors about
	// commands, those of may and answer, and those of the database.
	Run(ctx context.Context, c clerksync.Command, key store.CommandKey, may func(context.Context, store.DBTX) error, answer answerFunc,
	) (answered json.RawMessage, repeated bool, err error)
}

const (
	// commandsPerUser in commandsWindow is the limit of each user, and of each service and each
	// impersonator for each user. Inviting a whole team at once stays below it. In the long run,
	// one user's commands make about two calls to Clerk a second: a fifth of what Clerk allows a
	// development instance, and a fiftieth for production. When all calls are used up, the
	// Commander decides which command goes first.
	commandsPerUser = 30
	commandsWindow  = 30 * time.Second
)

// run carries out a command and answers the request.
func (s *server) run(w http.ResponseWriter, r *http.Request, c clerksync.Command, raw []byte, answer answerFunc) error {
	if s.cfg.Commander == nil {
		return errNoCommands
	}
	caller := callerOf(r)
	c.Impersonator, c.RequestID = caller.Impersonator, request.ID(r.Context())
	key, err := keyOf(r, c.Actor, raw)
	if err != nil {
		return err
	}
	if !s.commands.Allow(caller.Service + " " + caller.Impersonator + " " + c.Actor) { // only the user can use up the user's own limit
		return errTooManyCommands
	}
	answered, repeated, err := s.cfg.Commander.Run(r.Context(), c, key, s.stillMay(caller, c), answer)
	if err != nil {
		return err
	}
	if c.Action == clerksync.ActionWorkspaceCreated {
		if err := s.creatorStays(r.Context(), c.Actor, answered); err != nil {
			return err
		}
	}
	return writeAnswer(w, answered, repeated)
}

// stillMay returns the function that decides again, after a look-up of the actor's membership,
// whether the actor may give the command. It returns nil for commands that don't need this: Clerk
// itself checks invitations and their revocation, and every user may leave and create workspaces.
func (s *server) stillMay(caller auth.Identity, c clerksync.Command) func(context.Context, store.DBTX) error {
	permission := policy.MembersManage
	switch {
	case c.Action == clerksync.ActionWorkspaceRenamed:
		permission = policy.WorkspaceUpdate
	case c.Action == clerksync.ActionMemberRoleChanged, c.Action == clerksync.ActionMemberRemoved && c.Target != c.Actor:
	default:
		return nil
	}
	return func(ctx context.Context, db store.DBTX) error {
		standings, err := store.Standings(ctx, db, pairOf(caller, c.OrganizationID))
		if err != nil {
			return err
		}
		if standings[0].User.SessionEnded {
			return s.sessionEnded()
		}
		if decision := s.decideFor(caller, standings[0], permission); !decision.Allowed {
			return refusal(decision, standings[0].User)
		}
		return nil
	}
}

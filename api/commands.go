package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// answerFunc makes the answer to a command from the mirror after it, in the same transaction. By
// then the command has all its ids.
type answerFunc = func(ctx context.Context, db store.DBTX, done clerksync.Command) (json.RawMessage, error)

// Commander carries commands out: at Clerk first, then in the mirror.
type Commander interface {
	// Run carries a command out and returns its answer, or the answer that it had before: repeated
	// tells which. Its errors are package sync's about commands, those of may and answer, and the
	// database's.
	Run(ctx context.Context, c clerksync.Command, key store.CommandKey, may func(context.Context, store.DBTX) error, answer answerFunc,
	) (answered json.RawMessage, repeated bool, err error)
}

const (
	// commandsPerUser in commandsWindow are the commands of one user, and of each service for them:
	// inviting a whole team at once stays below. In the long run, that is a fifth of a production
	// instance's calls, which all commands share. While those are used up, the Commander decides
	// which command goes first.
	commandsPerUser = 30
	commandsWindow  = 30 * time.Second
)

// run carries a command out and answers.
func (s *server) run(w http.ResponseWriter, r *http.Request, c clerksync.Command, said []byte, answer answerFunc) error {
	if s.cfg.Commander == nil {
		return errNoCommands
	}
	key, err := keyOf(r, c.Actor, said)
	if err != nil {
		return err
	}
	if !s.commands.Allow(serviceOf(r) + " " + c.Actor) { // so that no service uses up the user's own share
		return errTooManyCommands
	}
	answered, repeated, err := s.cfg.Commander.Run(r.Context(), c, key, s.stillMay(c), answer)
	if err != nil {
		return err
	}
	if c.Action == clerksync.ActionWorkspaceCreated {
		if err := s.stillTheirs(r.Context(), c.Actor, answered); err != nil {
			return err
		}
	}
	return writeAnswer(w, answered, repeated)
}

// stillMay returns the function that asks the mirror once more whether the actor may give the
// command, after Clerk has shown their membership. It returns nil for commands that need no such
// look: Clerk itself checks invitations and their revocation, and every user may leave and create
// workspaces.
func (s *server) stillMay(c clerksync.Command) func(context.Context, store.DBTX) error {
	permission := policy.MembersManage
	switch {
	case c.Action == clerksync.ActionWorkspaceRenamed:
		permission = policy.WorkspaceUpdate
	case c.Action == clerksync.ActionMemberRoleChanged, c.Action == clerksync.ActionMemberRemoved && c.Target != c.Actor:
	default:
		return nil
	}
	return func(ctx context.Context, db store.DBTX) error {
		standings, err := store.Standings(ctx, db, store.Pair{UserID: c.Actor, OrganizationID: c.OrganizationID})
		if err != nil {
			return err
		}
		if decision := s.cfg.Grants().Decide(standings[0], permission); !decision.Allowed {
			return refusal(decision, standings[0].User)
		}
		return nil
	}
}

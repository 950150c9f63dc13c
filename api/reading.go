package api

import (
	"context"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/replica"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// workspaceReader is the caller of a read about a workspace: a member, or a service in its own
// name.
type workspaceReader struct {
	workspaceID string
	name        string // who reads one page at a time: a user or, of each workspace, a service
	identity    auth.Identity
}

type readerHandler func(w http.ResponseWriter, r *http.Request, caller workspaceReader) error

// asReader admits members of the workspace in the path whose role has the permission. It also
// admits services with the scope read, for such a member or in their own names.
func (s *server) asReader(permission string, next readerHandler) http.Handler {
	member := s.member(permission, func(w http.ResponseWriter, r *http.Request, m clerksync.Standing) error {
		return next(w, r, workspaceReader{workspaceID: m.OrganizationID, name: m.UserID, identity: callerOf(r)})
	})
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		identity, err := s.identify(r)
		if err != nil {
			return err
		}
		if identity.Rights.ReadsInOwnName() && r.Header.Values(headerOnBehalfOf) == nil {
			return s.inOwnName(w, r, identity, next)
		}
		return forUser(w, r, identity, auth.ScopeRead, member)
	})
}

// inOwnName passes a service's own read on, on a mirror as fresh as the request demands.
func (s *server) inOwnName(w http.ResponseWriter, r *http.Request, service auth.Identity, next readerHandler) error {
	workspaceID := mux.Vars(r)["workspace_id"]
	caller := workspaceReader{workspaceID: workspaceID, name: servicePrefix + service.Service + " in " + workspaceID, identity: service}
	if !service.Rights.In(caller.workspaceID) {
		return errWorkspaceNotListed
	}
	standing, err := s.liveWorkspace(r.Context(), caller.workspaceID)
	if err != nil {
		return err
	}
	demand, err := freshnessOf(r)
	if err != nil {
		return err
	}
	reached, err := s.awaitRevision(r.Context(), demand.MinRevision, []clerksync.Standing{standing}, store.Pair{OrganizationID: caller.workspaceID})
	if err != nil {
		return err
	}
	standing = reached[0]
	decision := demand.Judge(clerksync.Decision{Allowed: true, Revision: standing.Revision, AsOf: standing.AsOf}, s.cfg.Now())
	writeFreshness(w, standing, decision)
	if !decision.Allowed {
		return staleness(decision, demand)
	}
	return next(w, r, caller)
}

// liveWorkspace returns what the mirror knows of a workspace, as the standing of no user. If the
// workspace is unknown or deleted, it returns errNotFound. A replica may not know a new one yet.
func (s *server) liveWorkspace(ctx context.Context, workspaceID string) (clerksync.Standing, error) {
	if !clerksync.Storable(workspaceID) {
		return clerksync.Standing{}, errNotFound
	}
	standings, err := s.standings(ctx, store.Pair{OrganizationID: workspaceID})
	if from := replica.Of(ctx); err == nil && standings[0].Revision == 0 && from.Replica() != nil {
		from.Restart(replica.OutcomeNotThere)
		standings, err = s.standings(ctx, store.Pair{OrganizationID: workspaceID})
	}
	if err != nil {
		return clerksync.Standing{}, err
	}
	if standings[0].OrganizationDead || standings[0].Revision == 0 {
		return clerksync.Standing{}, errNotFound
	}
	return standings[0], nil
}

// stillReads returns an error if the caller may no longer read what takes the permission.
func (s *server) stillReads(ctx context.Context, caller workspaceReader, permission string) error {
	if caller.identity.UserID == "" {
		_, err := s.liveWorkspace(ctx, caller.workspaceID)
		return err
	}
	decision, err := s.decide(ctx, caller.identity, caller.workspaceID, permission)
	if err == nil && !decision.Allowed {
		err = forbidden(decision.Reason)
	}
	return err
}

package api

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type decisionBody struct {
	Allowed     bool             `json:"allowed"`
	Reason      clerksync.Reason `json:"reason"`
	Role        *string          `json:"role"` // null unless the user is a member and may act
	Permission  string           `json:"permission"`
	WorkspaceID string           `json:"workspace_id"`
	UserID      string           `json:"user_id"`
	// Impersonator is who acts as the user. It is left out if the user acts.
	Impersonator string     `json:"impersonator,omitempty"`
	Revision     int64      `json:"revision"`
	AsOf         *time.Time `json:"as_of"` // null if the workspace was never known to agree with Clerk
}

func bodyOf(d clerksync.Decision) decisionBody {
	body := decisionBody{
		Allowed: d.Allowed, Reason: d.Reason, Permission: d.Permission, WorkspaceID: d.OrganizationID, UserID: d.UserID,
		Impersonator: d.Impersonator, Revision: d.Revision,
	}
	if d.Role != "" {
		body.Role = &d.Role
	}
	if !d.AsOf.IsZero() {
		body.AsOf = new(d.AsOf.UTC())
	}
	return body
}

// authorize answers GET /v1/authorize, which asks whether the caller may do something. A refusal is
// a status that a proxy understands.
func (s *server) authorize(w http.ResponseWriter, r *http.Request, _ string) error {
	q, err := queryOf(r, "workspace_id", "permission")
	if err != nil {
		return err
	}
	permission, err := q.required("permission")
	if err != nil {
		return err
	}
	caller := callerOf(r)
	workspaceID, err := q.workspace(caller)
	if err != nil {
		return err
	}
	v, err := s.judgeBy(r, caller, workspaceID, permission, q.freshness)
	if err != nil {
		return err
	}
	writeFreshness(w, v.standing, v.decision)
	if v.refused != nil {
		return v.refused
	}
	nameAdmitted(w.Header(), v.decision)
	return write(w, bodyOf(v.decision))
}

// Headers that name the admitted caller. A proxy passes them to the service behind it.
const (
	headerUser       = "Rolecall-User"
	headerWorkspace  = "Rolecall-Workspace"
	headerRole       = "Rolecall-Role"
	headerPermission = "Rolecall-Permission"

	headerImpersonator = "Rolecall-Impersonator" // "" if the user acts
)

// nameAdmitted says in an answer's headers who was admitted. A header without a value is set, too:
// a proxy that copies it then replaces its client's own header of that name.
func nameAdmitted(answer http.Header, admitted clerksync.Decision) {
	answer.Set(headerUser, admitted.UserID)
	answer.Set(headerWorkspace, admitted.OrganizationID)
	answer.Set(headerRole, admitted.Role)
	answer.Set(headerPermission, admitted.Permission)
	answer.Set(headerImpersonator, admitted.Impersonator)
}

const (
	maxChecks     = 100
	maxChecksBody = 1 << 20
)

type checksBody struct {
	Checks  []checkBody `json:"checks"`
	Refresh bool        `json:"refresh"` // look strangers up at Clerk

	MinRevision  *int64 `json:"min_revision,omitempty"`  // each workspace must have reached it
	MaxStaleness *int64 `json:"max_staleness,omitempty"` // seconds
}

type checkBody struct {
	UserID      string `json:"user_id"`
	WorkspaceID string `json:"workspace_id"`
	Permission  string `json:"permission"`
}

type decisionsBody struct {
	Decisions []decisionBody `json:"decisions"`
}

// authorizeMany answers POST /v1/authorize, by which a service asks about any users. A check of a
// workspace beyond the service's rights is refused alone: one such check, perhaps with an id from
// a URL, must not spoil the others that share its request.
func (s *server) authorizeMany(w http.ResponseWriter, r *http.Request, service auth.Identity) error {
	asked, err := readChecks(w, r)
	if err != nil {
		return err
	}
	demand, err := demandOf(asked.MinRevision, asked.MaxStaleness)
	if err != nil {
		return err
	}
	pairs := make([]store.Pair, len(asked.Checks))
	for i, c := range asked.Checks {
		pairs[i] = store.Pair{UserID: c.UserID}
		if service.Rights.In(c.WorkspaceID) { // else nothing is read, so that no time tells of the workspace
			pairs[i].OrganizationID = c.WorkspaceID
		}
	}
	read := s.standings
	if asked.Refresh {
		read = s.freshStandings
	}
	standings, err := read(r.Context(), pairs...)
	if err != nil {
		return err
	}
	if standings, err = s.awaitRevision(r.Context(), demand.MinRevision, standings, pairs...); err != nil {
		return err
	}
	grants := s.cfg.Policy().Grants
	now := s.cfg.Now()
	body := decisionsBody{Decisions: make([]decisionBody, len(asked.Checks))}
	for i, c := range asked.Checks {
		d := demand.Judge(grants.Decide(standings[i], c.Permission), now)
		if !service.Rights.In(c.WorkspaceID) {
			d = notListed(c)
		}
		body.Decisions[i] = bodyOf(s.decided(r.Context(), d))
	}
	return write(w, body)
}

// storable reports whether all that a check names can be ids and a permission.
func (c checkBody) storable() bool {
	return clerksync.Storable(c.UserID) && clerksync.Storable(c.WorkspaceID) && clerksync.Storable(c.Permission)
}

// notListed is the decision about a workspace beyond the service's rights, of which nothing was
// read.
func notListed(c checkBody) clerksync.Decision {
	return clerksync.Decision{Reason: clerksync.ReasonWorkspaceNotListed, Permission: c.Permission, OrganizationID: c.WorkspaceID, UserID: c.UserID}
}

// readChecks reads and validates a body of 1 to 100 checks.
func readChecks(w http.ResponseWriter, r *http.Request) (checksBody, error) {
	var body checksBody
	if _, err := readObject(w, r, maxChecksBody, &body); errors.Is(err, errNotThisObject) {
		return checksBody{}, badRequest(`The body must be one object {"checks":[{"user_id":"user_…","workspace_id":"org_…","permission":"…"}]}, which may have "refresh":true, and min_revision and max_staleness as whole numbers; each member once.`)
	} else if err != nil {
		return checksBody{}, err
	}
	if len(body.Checks) < 1 || len(body.Checks) > maxChecks {
		return checksBody{}, badRequest("checks must have 1 to 100 elements.")
	}
	for i, c := range body.Checks {
		if !c.storable() {
			return checksBody{}, badRequest("checks[" + strconv.Itoa(i) + "] must have a user_id, a workspace_id and a permission of at most 255 bytes.")
		}
	}
	return body, nil
}

package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// maxInquiryBody is many times the size of a question with the longest ids.
const maxInquiryBody = 64 << 10

type inquiryBody struct {
	checkBody

	MinRevision  *int64 `json:"min_revision,omitempty"`
	MaxStaleness *int64 `json:"max_staleness,omitempty"` // seconds
}

// explain answers POST /v1/explain, by which a service asks why a user may do something or not. The
// decision is the one that POST /v1/authorize makes of the same mirror, and isn't counted as a
// decision: no request is admitted by it. No stranger is looked up at Clerk. Of a workspace beyond
// the service's rights nothing is read. A service of some workspaces learns nothing of the account
// of a user who never was in the one that it asks about.
func (s *server) explain(w http.ResponseWriter, r *http.Request, service auth.Identity) error {
	asked, err := readInquiry(w, r)
	if err != nil {
		return err
	}
	demand, err := demandOf(asked.MinRevision, asked.MaxStaleness)
	if err != nil {
		return err
	}
	if !service.Rights.In(asked.WorkspaceID) {
		return write(w, NewReasoning(clerksync.Reasoning{Decision: notListed(asked.checkBody)}))
	}
	release, err := s.readShares.Take(r.Context(), servicePrefix+service.Service+" explains")
	if err != nil {
		return err
	}
	defer release()
	q, err := s.inquire(r.Context(), asked.checkBody, demand)
	if err != nil {
		return err
	}
	if !service.Rights.Everywhere() {
		q.HideStranger()
	}
	return write(w, NewReasoning(s.cfg.Policy().Explain(q)))
}

// inquire reads in a snapshot what the answer to a check depends on.
func (s *server) inquire(ctx context.Context, asked checkBody, demand clerksync.Freshness) (q clerksync.Inquiry, err error) {
	pair := store.Pair{UserID: asked.UserID, OrganizationID: asked.WorkspaceID}
	if demand.MinRevision > 0 {
		standings, err := s.standings(ctx, pair)
		if err == nil {
			_, err = s.awaitRevision(ctx, demand.MinRevision, standings, pair)
		}
		if err != nil {
			return q, err
		}
	}
	err = s.cfg.Snapshot(ctx, func(db store.DBTX) (err error) {
		q, err = store.ReadInquiry(ctx, db, pair)
		return err
	})
	q.Permission, q.Freshness, q.Now = asked.Permission, demand, s.cfg.Now()
	return q, err
}

// readInquiry reads and validates the body of a question.
func readInquiry(w http.ResponseWriter, r *http.Request) (inquiryBody, error) {
	var body inquiryBody
	if _, err := readObject(w, r, maxInquiryBody, &body); errors.Is(err, errNotThisObject) {
		return inquiryBody{}, badRequest(`The body must be one object {"user_id":"user_…","workspace_id":"org_…","permission":"…"}, which may have min_revision and max_staleness as whole numbers; each member once.`)
	} else if err != nil {
		return inquiryBody{}, err
	}
	if !body.storable() {
		return inquiryBody{}, badRequest("The body must have a user_id, a workspace_id and a permission of at most 255 bytes.")
	}
	return body, nil
}

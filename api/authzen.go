package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	strictjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// The paths of the OpenID Authorization API 1.0 (AuthZEN), which the metadata name.
const (
	pathEvaluation      = "/access/v1/evaluation"
	pathEvaluations     = "/access/v1/evaluations"
	pathSubjectSearch   = "/access/v1/search/subject"
	pathResourceSearch  = "/access/v1/search/resource"
	pathActionSearch    = "/access/v1/search/action"
	pathAuthZENMetadata = "/.well-known/authzen-configuration"
)

// typeUser is the one type of subjects that may do anything: a Clerk user.
const typeUser = "user"

// evaluationBody answers one question of AuthZEN.
type evaluationBody struct {
	Decision bool           `json:"decision"`
	Context  evaluationTold `json:"context"`
}

// evaluationTold explains an evaluation. Nothing in it belongs to one request, so that equal
// questions get equal answers while nothing changes. Unknown values are left out, as the standard
// recommends.
type evaluationTold struct {
	Reason clerksync.Reason `json:"reason,omitempty"`
	Role   string           `json:"role,omitempty"`
	// Impersonator is who acts as the user.
	Impersonator string           `json:"impersonator,omitempty"`
	Revision     *int64           `json:"revision,omitempty"`
	AsOf         *time.Time       `json:"as_of,omitempty"`
	Error        *evaluationError `json:"error,omitempty"` // of a question that can't be answered, and then alone
}

type evaluationError struct {
	Status  int    `json:"status"`
	Message string `json:"message"`
}

type evaluationsBody struct {
	Evaluations []evaluationBody `json:"evaluations"`
}

// evaluation answers POST /access/v1/evaluation. A refusal is a 200, too.
func (s *server) evaluation(w http.ResponseWriter, r *http.Request, caller auth.Identity) error {
	body, err := readQuestions(w, r)
	if err != nil {
		return err
	}
	return s.evaluateOne(w, r, caller, body)
}

func (s *server) evaluateOne(w http.ResponseWriter, r *http.Request, caller auth.Identity, body questionsBody) error {
	q, err := body.question(nothing)
	if err != nil {
		return err
	}
	answers, err := s.evaluate(r.Context(), caller, executeAll, []item{{question: q}})
	if err != nil {
		return err
	}
	return write(w, answers[0])
}

// evaluations answers POST /access/v1/evaluations. Without a list of evaluations, it answers as
// evaluation does.
func (s *server) evaluations(w http.ResponseWriter, r *http.Request, caller auth.Identity) error {
	body, err := readQuestions(w, r)
	if err != nil {
		return err
	}
	semantic, err := body.semantic()
	if err != nil {
		return err
	}
	items, err := body.items()
	if err != nil {
		return err
	}
	if len(items) == 0 {
		return s.evaluateOne(w, r, caller, body)
	}
	answers, err := s.evaluate(r.Context(), caller, semantic, items)
	if err != nil {
		return err
	}
	return write(w, evaluationsBody{Evaluations: answers})
}

// errOwnSubjectOnly refuses a user's question about anybody else.
var errOwnSubjectOnly = &problem{
	Type: problemType + "forbidden", Title: "About yourself only", Status: http.StatusForbidden,
	Detail: "A session token may ask about its own user only. To ask about others, use a service token.",
}

// mayAskAbout reports whether the caller may ask about a subject. A service may ask about any.
func mayAskAbout(caller auth.Identity, subject entity) bool {
	return caller.Service != "" || subject.Type == typeUser && subject.ID == caller.UserID
}

// evaluate answers questions in their order, until the semantic ends the list. All standings are of
// one moment.
func (s *server) evaluate(ctx context.Context, caller auth.Identity, until semantic, items []item) ([]evaluationBody, error) {
	inForce := s.cfg.Policy()
	standings, err := s.standingsOf(ctx, caller, inForce, items)
	if err != nil {
		return nil, err
	}
	answers, now := []evaluationBody{}, s.cfg.Now()
	for i, it := range items {
		answer := faultOf(it.fault)
		if it.fault == nil {
			d := it.demand.Judge(decideBy(inForce, caller, standings[i], it.action), now)
			if pair, ok := it.pair(inForce); ok && !caller.Rights.In(pair.OrganizationID) {
				d = clerksync.Decision{Reason: clerksync.ReasonWorkspaceNotListed}
			}
			answer = evaluationOf(caller, standings[i], s.decided(ctx, d))
		}
		if answers = append(answers, answer); until.ends(answer.Decision) {
			break
		}
	}
	return answers, nil
}

// standingsOf reads the standing that each question is about. It has the zero standing, of a user
// who is no member, for a question that is about no user and workspace, that can't be answered, or
// that is about a workspace beyond the caller's rights.
func (s *server) standingsOf(ctx context.Context, caller auth.Identity, inForce *policy.Policy, items []item) ([]clerksync.Standing, error) {
	var pairs []store.Pair
	var demands []clerksync.Freshness
	var places []int
	for i, it := range items {
		if it.subject.Type != "" && !mayAskAbout(caller, it.subject) { // an item without a subject names no user
			return nil, errOwnSubjectOnly
		}
		if pair, ok := it.pair(inForce); ok && it.fault == nil && caller.Rights.In(pair.OrganizationID) {
			pairs, demands, places = append(pairs, pair), append(demands, it.demand), append(places, i)
		}
	}
	read, err := s.standingsAsFresh(ctx, caller, demands, pairs...)
	if err != nil {
		return nil, err
	}
	standings := make([]clerksync.Standing, len(items))
	for n, standing := range read {
		standings[places[n]] = standing
	}
	return standings, nil
}

// standingsAsFresh reads the standing of each pair once the pair's demand is met, or the time for
// that is over. If the session in which a user asks has ended, it returns errSessionEnded, also
// without any pair.
func (s *server) standingsAsFresh(ctx context.Context, caller auth.Identity, demands []clerksync.Freshness, pairs ...store.Pair) ([]clerksync.Standing, error) {
	for i := range pairs {
		pairs[i].Sessions = sessionsOf(caller)
	}
	if len(pairs) == 0 {
		return nil, s.inSession(ctx, caller)
	}
	standings, err := s.standings(ctx, pairs...)
	if err == nil && !sessionEnded(standings) {
		standings, err = s.await(ctx, standings, func(i int) int64 { return demands[i].MinRevision }, pairs...)
	}
	switch {
	case err != nil:
		return nil, err
	case sessionEnded(standings):
		return nil, s.sessionEnded()
	}
	return standings, nil
}

// inSession returns errSessionEnded if the session in which a user asks has ended.
func (s *server) inSession(ctx context.Context, caller auth.Identity) error {
	if caller.Service != "" {
		return nil
	}
	standings, err := s.standings(ctx, pairOf(caller, ""))
	if err == nil && sessionEnded(standings) {
		err = s.sessionEnded()
	}
	return err
}

func sessionEnded(standings []clerksync.Standing) bool {
	return slices.ContainsFunc(standings, func(standing clerksync.Standing) bool { return standing.User.SessionEnded })
}

// faultOf answers a question that can't be read.
func faultOf(err error) evaluationBody {
	p, _ := problemFor(err)
	return evaluationBody{Context: evaluationTold{Error: &evaluationError{Status: p.Status, Message: p.Detail}}}
}

// toldToUser returns what a user's own token learns of a decision. It learns of a workspace only as
// a member: a stranger gets the same answer as for a workspace that doesn't exist.
func toldToUser(standing clerksync.Standing, d clerksync.Decision) clerksync.Decision {
	refused := standing.User.Refusal()
	switch {
	case refused != "":
		return clerksync.Decision{Reason: refused, Impersonator: d.Impersonator}
	case d.Reason == clerksync.ReasonNotAMember, d.Reason == clerksync.ReasonWorkspaceDeleted:
		return clerksync.Decision{Reason: clerksync.ReasonNotAMember, Impersonator: d.Impersonator}
	}
	return d
}

// evaluationOf answers with a decision.
func evaluationOf(caller auth.Identity, standing clerksync.Standing, d clerksync.Decision) evaluationBody {
	if caller.Service == "" {
		d = toldToUser(standing, toldTo(caller, d))
	}
	told := evaluationTold{Reason: d.Reason, Role: d.Role, Impersonator: d.Impersonator, Revision: &d.Revision}
	if !d.AsOf.IsZero() {
		told.AsOf = new(d.AsOf.UTC())
	}
	return evaluationBody{Decision: d.Allowed, Context: told}
}

// pair returns the user and the workspace that a question is about. ok is false if it is about
// others, which no role allows anything.
func (q question) pair(in *policy.Policy) (p store.Pair, ok bool) {
	workspaceID := q.resource.workspace(in)
	ok = q.subject.Type == typeUser && clerksync.Storable(q.subject.ID) && clerksync.Storable(workspaceID)
	return store.Pair{UserID: q.subject.ID, OrganizationID: workspaceID}, ok
}

// workspace returns the id of a resource's workspace, or "" if it has none. A workspace's own id is
// its resource's id. Another resource names its workspace in its properties.
func (e entity) workspace(in *policy.Policy) string {
	if in.IsWorkspaceType(e.Type) {
		return e.ID
	}
	var properties struct {
		WorkspaceID jsontext.Value `json:"workspace_id"`
	}
	id := ""
	if e.properties == nil || strictjson.Unmarshal(e.properties, &properties) != nil || properties.WorkspaceID.Kind() != '"' ||
		strictjson.Unmarshal(properties.WorkspaceID, &id) != nil {
		return ""
	}
	return id
}

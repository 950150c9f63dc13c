package api

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"

	strictjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	clerksync "github.com/callmine/rolecall/sync"
)

// The bodies of AuthZEN have a decoder of their own. The standard demands that unknown members are
// ignored at every level, while the rest of the API refuses them. Duplicate names, names in another
// case and invalid UTF-8 are refused or ignored everywhere, as in the rest.

// parts are the entities of a question as they were sent. A missing one is nil, and null isn't.
type parts struct {
	Subject  jsontext.Value `json:"subject"`
	Action   jsontext.Value `json:"action"`
	Resource jsontext.Value `json:"resource"`
	Context  jsontext.Value `json:"context"`
}

// or returns the parts with defaults in place of the missing ones. A given part replaces its
// default whole.
func (p parts) or(defaults parts) parts {
	for _, one := range []struct{ own, otherwise *jsontext.Value }{
		{&p.Subject, &defaults.Subject}, {&p.Action, &defaults.Action}, {&p.Resource, &defaults.Resource}, {&p.Context, &defaults.Context},
	} {
		if *one.own == nil {
			*one.own = *one.otherwise
		}
	}
	return p
}

// questionsBody is the body of an evaluation, of evaluations or of a search.
type questionsBody struct {
	parts

	Evaluations jsontext.Value `json:"evaluations"`
	Options     jsontext.Value `json:"options"`
	Page        jsontext.Value `json:"page"`
}

// readQuestions reads the body of an AuthZEN request.
func readQuestions(w http.ResponseWriter, r *http.Request) (questionsBody, error) {
	var body questionsBody
	if !hasJSON(r) {
		return body, badRequest("Send the body as Content-Type: application/json.")
	}
	if _, err := decodeObject(w, r, maxChecksBody, &body); errors.Is(err, errNotThisObject) {
		return body, badRequest("The body must be one JSON object in UTF-8, with each name once.")
	} else if err != nil {
		return body, err
	}
	return body, nil
}

// entity is a subject or a resource.
type entity struct {
	Type, ID   string
	properties jsontext.Value
}

// question is what one evaluation asks, or one search. A search leaves out the id of what it
// searches for, or the action.
type question struct {
	subject, resource entity
	action            string
	actionProperties  jsontext.Value
	context           jsontext.Value
	demand            clerksync.Freshness
}

// sought is what a question leaves open: the kind of search.
type sought string

const (
	nothing   sought = "" // an evaluation leaves nothing open
	subjects  sought = "subject"
	resources sought = "resource"
	actions   sought = "action"
)

// question reads the parts of a question. If some can't be read, it returns the others with an
// error: the subject then still tells whom the question is about.
func (p parts) question(open sought) (q question, err error) {
	var errs [4]error
	q.subject, errs[0] = readEntity(p.Subject, "subject", open != subjects)
	if open != actions {
		q.action, q.actionProperties, errs[1] = readAction(p.Action)
	}
	q.resource, errs[2] = readEntity(p.Resource, "resource", open != resources)
	q.context = p.Context
	q.demand, errs[3] = readDemand(p.Context)
	for _, err := range errs {
		if err != nil {
			return q, err
		}
	}
	return q, nil
}

// readEntity reads a subject or a resource. Its id is ignored if that is what is searched for.
func readEntity(raw jsontext.Value, name string, identified bool) (e entity, err error) {
	var members struct {
		Type       jsontext.Value `json:"type"`
		ID         jsontext.Value `json:"id"`
		Properties jsontext.Value `json:"properties"`
	}
	if err := readMembers(raw, name, &members); err != nil {
		return entity{}, err
	}
	if e.Type, err = readText(members.Type, name+".type"); err != nil {
		return entity{}, err
	}
	if identified {
		if e.ID, err = readText(members.ID, name+".id"); err != nil {
			return entity{}, err
		}
	}
	e.properties, err = readOptional(members.Properties, name+".properties")
	return e, err
}

func readAction(raw jsontext.Value) (name string, properties jsontext.Value, err error) {
	var members struct {
		Name       jsontext.Value `json:"name"`
		Properties jsontext.Value `json:"properties"`
	}
	if err := readMembers(raw, "action", &members); err != nil {
		return "", nil, err
	}
	if name, err = readText(members.Name, "action.name"); err != nil {
		return "", nil, err
	}
	properties, err = readOptional(members.Properties, "action.properties")
	return name, properties, err
}

// readDemand reads how fresh the mirror must be. All other members of a context are ignored.
func readDemand(raw jsontext.Value) (clerksync.Freshness, error) {
	raw, err := readOptional(raw, "context")
	if raw == nil || err != nil {
		return clerksync.Freshness{}, err
	}
	var members struct {
		MinRevision  jsontext.Value `json:"min_revision"`
		MaxStaleness jsontext.Value `json:"max_staleness"`
	}
	if err := readMembers(raw, "context", &members); err != nil {
		return clerksync.Freshness{}, err
	}
	minRevision, ok := readWhole(members.MinRevision)
	if !ok {
		return clerksync.Freshness{}, badFreshness(paramMinRevision)
	}
	maxStaleness, ok := readWhole(members.MaxStaleness)
	if !ok {
		return clerksync.Freshness{}, badFreshness(paramMaxStaleness)
	}
	return demandOf(minRevision, maxStaleness)
}

// readMembers reads an object that must be there.
func readMembers(raw jsontext.Value, name string, into any) error {
	switch {
	case raw == nil:
		return badRequest(name + " is missing.")
	case raw.Kind() != '{' || strictjson.Unmarshal(raw, into) != nil:
		return badRequest(name + " must be an object.")
	}
	return nil
}

// readOptional returns an object that may be missing, and nil for a missing one. Null counts as
// missing, because some libraries send it in the place of members that aren't set.
func readOptional(raw jsontext.Value, name string) (jsontext.Value, error) {
	switch raw.Kind() {
	case '{':
		return raw, nil
	case 0, 'n':
		return nil, nil
	default:
		return nil, badRequest(name + " must be an object.")
	}
}

// readText returns a text that must be there.
func readText(raw jsontext.Value, name string) (text string, err error) {
	switch {
	case raw == nil:
		return "", badRequest(name + " is missing.")
	case raw.Kind() != '"' || strictjson.Unmarshal(raw, &text) != nil:
		return "", badRequest(name + " must be a text.")
	case text == "":
		return "", badRequest(name + " must not be empty.")
	}
	return text, nil
}

// readWhole returns a whole number, or nil for a missing one.
func readWhole(raw jsontext.Value) (number *int64, ok bool) {
	if raw == nil {
		return nil, true
	}
	number = new(int64)
	return number, raw.Kind() == '0' && strictjson.Unmarshal(raw, number) == nil
}

// semantic says when a list of evaluations ends.
type semantic string

const (
	executeAll          semantic = "execute_all"
	denyOnFirstDeny     semantic = "deny_on_first_deny"
	permitOnFirstPermit semantic = "permit_on_first_permit"
)

// semantic reads the options.
func (b questionsBody) semantic() (semantic, error) {
	raw, err := readOptional(b.Options, "options")
	if raw == nil || err != nil {
		return executeAll, err
	}
	var members struct {
		Semantic jsontext.Value `json:"evaluations_semantic"`
	}
	if err := readMembers(raw, "options", &members); err != nil || members.Semantic == nil {
		return executeAll, err
	}
	text, err := readText(members.Semantic, "options.evaluations_semantic")
	switch chosen := semantic(text); {
	case err == nil && (chosen == executeAll || chosen == denyOnFirstDeny || chosen == permitOnFirstPermit):
		return chosen, nil
	default:
		return "", badRequest("options.evaluations_semantic must be execute_all, deny_on_first_deny or permit_on_first_permit.")
	}
}

// ends reports whether a list ends with this decision.
func (s semantic) ends(decision bool) bool {
	return s == denyOnFirstDeny && !decision || s == permitOnFirstPermit && decision
}

// item is one question of a list. If it can't be answered, fault says why.
type item struct {
	question

	fault error
}

// items reads the questions of a list. There are none if there is no list. The defaults must be
// whole, too, if they are given.
func (b questionsBody) items() ([]item, error) {
	var list []jsontext.Value
	if kind := b.Evaluations.Kind(); kind == 0 || kind == 'n' {
		return nil, nil
	}
	if strictjson.Unmarshal(b.Evaluations, &list) != nil {
		return nil, badRequest("evaluations must be a list.")
	}
	if len(list) > maxChecks {
		return nil, badRequest("evaluations must have at most " + strconv.Itoa(maxChecks) + " elements.")
	}
	if err := b.checkDefaults(); err != nil && len(list) > 0 {
		return nil, err
	}
	items := make([]item, len(list))
	for i, raw := range list {
		var own parts
		if err := readMembers(raw, "evaluations["+strconv.Itoa(i)+"]", &own); err != nil {
			return nil, err
		}
		items[i].question, items[i].fault = own.or(b.parts).question(nothing)
	}
	return items, nil
}

// checkDefaults checks the parts that stand beside a list.
func (b questionsBody) checkDefaults() (err error) {
	if b.Subject != nil {
		_, err = readEntity(b.Subject, "subject", true)
	}
	if b.Action != nil && err == nil {
		_, _, err = readAction(b.Action)
	}
	if b.Resource != nil && err == nil {
		_, err = readEntity(b.Resource, "resource", true)
	}
	if err == nil {
		_, err = readDemand(b.Context)
	}
	return err
}

// fingerprint tells a question from every other one, apart from the order of members and from
// unknown ones.
func (q question) fingerprint(open sought) ([sha256.Size]byte, error) {
	text, err := strictjson.Marshal([]any{
		open, q.subject.Type, q.subject.ID, q.subject.properties, q.action, q.actionProperties, q.resource.Type, q.resource.ID, q.resource.properties, q.context,
	})
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	canonical := jsontext.Value(text)
	if err := canonical.Canonicalize(); err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(canonical), nil
}

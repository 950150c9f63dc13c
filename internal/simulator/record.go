package simulator

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
)

// maxRecorded is how many webhooks the record keeps: more than a person or a test looks at.
const maxRecorded = 500

// maxAttempts is how many attempts the record keeps of one webhook: two endpoints' whole schedules,
// with repeats.
const maxAttempts = 30

// record remembers the last webhooks.
type record struct {
	changes *changes

	mu       sync.Mutex
	webhooks []*recorded // oldest first
	byID     map[string]*recorded
	busy     map[underWay]bool // also of webhooks that aren't kept any more
}

// underWay is a webhook of which something is still to be sent to an endpoint.
type underWay struct {
	messageID string
	endpoint  int
}

// recorded is a webhook, and how each endpoint stands to it.
type recorded struct {
	Webhook
	outcomes map[int]Outcome // by endpoint
}

func newRecord(changes *changes) *record {
	return &record{changes: changes, byID: make(map[string]*recorded), busy: make(map[underWay]bool)}
}

// taken notes a webhook before its first attempt.
func (r *record) taken(message clerksim.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := &recorded{Webhook: describe(message), outcomes: make(map[int]Outcome)}
	r.webhooks, r.byID[message.ID] = append(r.webhooks, entry), entry
	if len(r.webhooks) > maxRecorded {
		delete(r.byID, r.webhooks[0].MessageID)
		r.webhooks = slices.Delete(r.webhooks, 0, 1)
	}
	r.changes.note()
}

// attempted notes an attempt that ended.
func (r *record) attempted(attempt svixsim.Attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry, kept := r.byID[attempt.MessageID]
	if !kept {
		return
	}
	noted := Attempt{
		Endpoint: attempt.Endpoint, Number: attempt.Number, At: attempt.At, Took: attempt.Took, Status: attempt.Status,
	}
	if attempt.Err != nil {
		noted.Error = attempt.Err.Error()
	}
	if entry.Attempts = append(entry.Attempts, noted); len(entry.Attempts) > maxAttempts {
		entry.Attempts = slices.Delete(entry.Attempts, 0, 1)
	}
	if attempt.Acknowledged() {
		entry.outcomes[attempt.Endpoint] = Delivered
	}
	r.changes.note()
}

// progressed notes how an endpoint stands to a webhook.
func (r *record) progressed(messageID string, endpoint int, outcome svixsim.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u := (underWay{messageID, endpoint}); outcome == svixsim.Waiting {
		r.busy[u] = true
	} else {
		delete(r.busy, u)
	}
	if entry, kept := r.byID[messageID]; kept && entry.outcomes[endpoint] != Delivered {
		entry.outcomes[endpoint] = Outcome(outcome.String())
	}
	r.changes.note()
}

// worst returns the worst outcome. Without any, the webhook waits for the first endpoint.
func worst(outcomes map[int]Outcome) Outcome {
	if len(outcomes) == 0 {
		return Waiting
	}
	order := []Outcome{Delivered, Waiting, Failed, Disabled, Dropped}
	found := 0
	for _, outcome := range outcomes {
		found = max(found, slices.Index(order, outcome))
	}
	return order[found]
}

// unsettled counts the webhooks of which something is still to be sent.
func (r *record) unsettled() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	messages := make(map[string]bool, len(r.busy))
	for u := range r.busy {
		messages[u.messageID] = true
	}
	return len(messages)
}

// list returns copies, newest first.
func (r *record) list() []Webhook {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Webhook, 0, len(r.webhooks))
	for _, entry := range slices.Backward(r.webhooks) {
		found := entry.Webhook
		found.Attempts = append([]Attempt{}, entry.Attempts...)
		found.Outcome = worst(entry.outcomes)
		all = append(all, found)
	}
	return all
}

// describe reads whom a message concerns. Bodies name an organization in one of three ways, and a
// user in one of two.
func describe(message clerksim.Message) Webhook {
	type ids struct {
		ID string `json:"id"`
	}
	type people struct {
		UserID string `json:"user_id"`
	}
	var body struct {
		Data struct {
			Organization   ids    `json:"organization"`
			OrganizationID string `json:"organization_id"`
			PublicUserData people `json:"public_user_data"`
			UserID         string `json:"user_id"`
		} `json:"data"`
	}
	_ = json.Unmarshal(message.Body, &body) // what isn't there stays empty
	return Webhook{
		MessageID: message.ID, Type: message.Type, ObjectID: message.ObjectID, Body: message.Body,
		OrganizationID: cmp.Or(idWith("org_", message.ObjectID), body.Data.Organization.ID, body.Data.OrganizationID),
		UserID:         cmp.Or(idWith("user_", message.ObjectID), body.Data.PublicUserData.UserID, body.Data.UserID),
		HappenedAt:     message.OccurredAt, TakenAt: time.Now(),
	}
}

// idWith returns an id if it has the prefix, else "".
func idWith(prefix, id string) string {
	if strings.HasPrefix(id, prefix) {
		return id
	}
	return ""
}

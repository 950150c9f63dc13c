package api

import (
	"time"

	clerksync "github.com/callmine/rolecall/sync"
)

// Reasoning is the JSON of an explanation, as POST /v1/explain answers it.
type Reasoning struct {
	Decision decisionBody `json:"decision"`
	Facts    []factBody   `json:"facts"`
	// Change is the single change after which the refused request would be allowed; null if there is
	// none, and of an allowance.
	Change *changeBody `json:"change"`
}

type factBody struct {
	Fact   clerksync.FactName `json:"fact"`
	Holds  *bool              `json:"holds"` // null: it says nothing here
	Detail string             `json:"detail"`
	Since  *time.Time         `json:"since"` // null if it isn't known
	Cause  *string            `json:"cause"` // null if it isn't known
}

type changeBody struct {
	Kind    clerksync.ChangeKind `json:"kind"`
	Subject string               `json:"subject"`
	Role    *string              `json:"role"` // null unless the change gives one
	Words   string               `json:"words"`
}

// NewReasoning returns the JSON of an explanation.
func NewReasoning(r clerksync.Reasoning) Reasoning {
	body := Reasoning{Decision: bodyOf(r.Decision), Facts: make([]factBody, len(r.Facts))}
	for i, f := range r.Facts {
		body.Facts[i] = factBody{Fact: f.Name, Detail: f.Detail}
		if f.Applies {
			body.Facts[i].Holds = &f.Holds
		}
		if !f.Since.IsZero() {
			body.Facts[i].Since = new(f.Since.UTC())
		}
		if f.Cause != "" {
			body.Facts[i].Cause = &f.Cause
		}
	}
	if c := r.Change; c != nil {
		body.Change = &changeBody{Kind: c.Kind, Subject: c.Subject, Words: c.Words}
		if c.Role != "" {
			body.Change.Role = &c.Role
		}
	}
	return body
}

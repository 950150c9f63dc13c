package sync

// Explanation describes a refusal of Clerk's: what Clerk's support asks for, and nothing personal.
type Explanation struct {
	// Status is the HTTP status; 0 if there was no answer.
	Status int `json:"status"`
	// Code is Clerk's own code, such as "organization_domains_not_enabled"; "" if the answer isn't
	// of Clerk's form: a proxy may have sent it.
	Code string `json:"code"`
	// TraceID names the call at Clerk. It may be empty.
	TraceID string `json:"trace_id,omitempty"`
}

// Explained is an error of a directory that can describe Clerk's answer.
type Explained interface {
	error
	// Explain describes Clerk's answer.
	Explain() Explanation
}

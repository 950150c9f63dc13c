package sync

// Explanation is what an answer of Clerk's was, if it was a refusal: what Clerk's support asks for,
// and nothing personal.
type Explanation struct {
	// Status is the HTTP status; 0 if there was no answer.
	Status int `json:"status"`
	// Code is Clerk's own code, such as "organization_domains_not_enabled"; "" if the answer isn't
	// of Clerk's form, as a proxy's isn't.
	Code string `json:"code"`
	// TraceID names the call at Clerk. It may be empty.
	TraceID string `json:"trace_id,omitempty"`
}

// Explained is an error of a directory that knows what the answer was.
type Explained interface {
	error
	// Explain returns what the answer was.
	Explain() Explanation
}

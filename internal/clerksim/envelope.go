package clerksim

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"
)

// envelopeBody is the body of every event. It has no id and no sequence number: the only id is in
// the header.
type envelopeBody struct {
	Data       json.RawMessage     `json:"data"`
	Attributes eventAttributesBody `json:"event_attributes"`
	InstanceID string              `json:"instance_id,omitempty"`
	Object     string              `json:"object"`
	Timestamp  int64               `json:"timestamp"`
	Type       string              `json:"type"`
}

type eventAttributesBody struct {
	HTTPRequest httpRequestBody `json:"http_request"`
}

// httpRequestBody describes the client that asked Clerk for the change; both fields are empty for
// Clerk's own changes.
type httpRequestBody struct {
	ClientIP  string `json:"client_ip"`
	UserAgent string `json:"user_agent"`
}

// deletedBody is the data of every deletion but a membership's. It has no times: only the envelope
// is dated.
type deletedBody struct {
	Object  string  `json:"object"`
	ID      string  `json:"id"`
	Deleted bool    `json:"deleted"`
	Slug    *string `json:"slug,omitempty"`
}

func (w *World) envelope(eventType, objectID string, at time.Time, data any) []byte {
	body := envelopeBody{
		Data:       withUnknownField(objectID, data),
		Attributes: attributesOf(eventType, objectID),
		InstanceID: w.cfg.InstanceID,
		Object:     "event",
		Timestamp:  at.UnixMilli(),
		Type:       eventType,
	}
	if w.cfg.Legacy {
		body.InstanceID = ""
	}
	return mustMarshal(body)
}

func attributesOf(eventType, objectID string) eventAttributesBody {
	clients := []httpRequestBody{
		{ClientIP: "203.0.113.20", UserAgent: "Mozilla/5.0 (simulated browser)"},
		{ClientIP: "", UserAgent: "simulated-backend/1.0"},
		{ClientIP: "2001:db8::20", UserAgent: "Mozilla/5.0 (simulated telephone)"},
		{},
	}
	return eventAttributesBody{HTTPRequest: clients[accident(eventType+objectID, len(clients))]}
}

// withUnknownField marshals data and gives every second object a field that no decoder knows: Clerk
// adds fields at any time.
func withUnknownField(objectID string, data any) json.RawMessage {
	raw := mustMarshal(data)
	if len(raw) < len(`{"a":1}`) || raw[0] != '{' {
		return raw
	}
	fields := []string{
		``, ``, ``, ``,
		`"simulated_note":null`,
		`"simulated_tier":{"id":"tier_1","updated_at":"later","limits":[1,2]}`,
		`"simulated_flags":["a","b"]`,
		`"simulated_count":18446744073709551615`,
	}
	field := fields[accident(objectID, len(fields))]
	if field == "" {
		return raw
	}
	return append(raw[:len(raw)-1:len(raw)-1], ","+field+"}"...)
}

// accident picks one of n accidental details for an object. It depends on the id alone. So reading
// doesn't change later results, and webhooks and API agree.
func accident(objectID string, n int) int {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(objectID)) // never fails, says package hash
	return int(hash.Sum32() % uint32(n))
}

// mustMarshal panics if a body can't be marshalled. All bodies are made of plain values and checked
// metadata, so only a mistake in this package gets there.
func mustMarshal(body any) json.RawMessage {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("clerksim: marshal %T: %v", body, err))
	}
	return raw
}

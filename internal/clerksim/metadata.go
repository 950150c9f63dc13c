package clerksim

import (
	"bytes"
	"encoding/json"
)

// checkMetadata returns a copy of a JSON object, {} for none, and refuses anything else
// (ErrInvalid): Clerk's metadata is always an object.
func checkMetadata(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return emptyMetadata(), nil
	}
	trimmed := bytes.TrimSpace(raw)
	if !json.Valid(trimmed) || trimmed[0] != '{' {
		return nil, refuseParam(ErrInvalid, "public_metadata", "metadata must be a JSON object")
	}
	return bytes.Clone(trimmed), nil
}

func emptyMetadata() json.RawMessage { return json.RawMessage("{}") }

// nullable returns nil for the empty string.
func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

package clerksim

import (
	"encoding/json"
	"io"
	"net/http"
)

// maxRequest bounds a request's body: many times the size of a role or an invitation.
const maxRequest = 64 << 10

// readBody decodes a request's JSON object and refuses fields that into doesn't have. Clerk may
// know them, and an answer that ignored one would be wrong.
func readBody(req *http.Request, into any) error {
	decoder := json.NewDecoder(io.LimitReader(req.Body, maxRequest))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return refuse(ErrInvalid, "the body must be a JSON object with known fields: %v", err)
	}
	return nil
}

// unlessNull returns nothing for a field that is null: Clerk treats it as absent.
func unlessNull(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

// readOptionalBody is [readBody] where the request may have none.
func readOptionalBody(req *http.Request, into any) error {
	if req.ContentLength == 0 {
		return nil
	}
	return readBody(req, into)
}

package clerksim

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// maxRequest bounds a request's body: many times the size of a role or an invitation.
const maxRequest = 64 << 10

// readBody decodes a request's JSON object and refuses fields that into doesn't have. Clerk may
// know them, and an answer that ignored one would be wrong.
func readBody(req *http.Request, into any) error {
	decoder := json.NewDecoder(io.LimitReader(req.Body, maxRequest))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		return nil
	}
	if field, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return refuseParam(ErrUnsimulated, strings.Trim(field, `"`), "the simulator doesn't know the field %s here", field)
	}
	return refuse(ErrInvalid, "the body must be JSON of the documented form: %v", err)
}

// missing refuses a request without a field that it needs.
func missing(param string) *Error { return refuseParam(ErrMissing, param, "%s is missing", param) }

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

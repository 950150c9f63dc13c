package sync

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// keepsBody reports whether the ledger keeps the bodies of an event: those that the mirror reads,
// or might read one day. Other bodies carry one-time codes, sign-in links and sessions, and are
// never replayed.
func (t EventType) keepsBody() bool {
	return slices.Contains([]string{
		"organization", "organizationMembership", "organizationInvitation", "organizationDomain", "role", "roleSet",
		"permission", "user",
	}, t.object())
}

// secretMembers are the members of a body that the ledger must not keep, at any depth: private
// metadata, and the url of an invitation, which lets every holder join.
func secretMembers(t EventType) []string {
	if strings.HasSuffix(strings.ToLower(t.object()), "invitation") || t == "" { // an unreadable type might be one
		return []string{"private_metadata", "url"}
	}
	return []string{"private_metadata"}
}

// redact replaces the values of secret members in a valid JSON text. All other bytes stay as
// received.
func redact(t EventType, body []byte) []byte {
	const redacted = `"[redacted]"`
	var out bytes.Buffer
	done := 0
	for _, s := range valuesOf(body, secretMembers(t)) {
		out.Write(body[done:s.start])
		out.WriteString(redacted)
		done = s.end
	}
	out.Write(body[done:])
	return out.Bytes()
}

// span is where a value stands in a text: from start up to end, which is excluded.
type span struct{ start, end int }

// valuesOf finds the values of the named members in a valid JSON text, at any depth. It leaves out
// null and empty values, and doesn't search inside a value that it found.
func valuesOf(body []byte, names []string) []span {
	var spans []span
	dec := json.NewDecoder(bytes.NewReader(body))
	var objects []bool // for each open bracket, whether it is an object's
	wantName := false
	for {
		token, err := dec.Token()
		if err != nil { // the end: the text is valid
			return spans
		}
		name, isText := token.(string)
		switch {
		case token == json.Delim('{') || token == json.Delim('['):
			objects = append(objects, token == json.Delim('{'))
			wantName = token == json.Delim('{')
			continue
		case token == json.Delim('}') || token == json.Delim(']'):
			objects = objects[:len(objects)-1]
		case wantName && isText && slices.Contains(names, strings.ToLower(name)):
			var value json.RawMessage
			if dec.Decode(&value) != nil {
				return spans
			}
			if end := int(dec.InputOffset()); !slices.Contains([]string{"null", "{}", `""`}, string(value)) {
				spans = append(spans, span{end - len(value), end})
			}
			continue
		case wantName:
			wantName = false
			continue
		}
		wantName = len(objects) > 0 && objects[len(objects)-1]
	}
}

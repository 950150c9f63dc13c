package sync

import (
	"bytes"
	"slices"
	"strings"
)

// keepsBody reports whether the ledger keeps the bodies of an event: those that the mirror reads,
// or might read one day. Other bodies carry one-time codes, sign-in links and sessions, and are
// never replayed.
func (t EventType) keepsBody() bool {
	return decoderOf(t) != nil || slices.Contains([]string{
		"organization", "organizationMembership", "organizationInvitation", "organizationDomain", "role", "roleSet",
		"permission", "user",
	}, t.object())
}

// secretMembers are the members of a body that the ledger must not keep, at any depth: private
// metadata, and the url of an invitation, which lets every holder join. Of a session, these are
// also the whole user, the place of the last activity, and the address and the browser of the
// request that ended it: the mirror reads none of them. An unreadable type might be any.
func secretMembers(t EventType) []string {
	secret := []string{"private_metadata"}
	if strings.HasSuffix(strings.ToLower(t.object()), "invitation") || t == "" {
		secret = append(secret, "url")
	}
	if t.object() == "session" || t == "" {
		secret = append(secret, "user", "latest_activity", "event_attributes")
	}
	return secret
}

// redact replaces the values of secret members in a valid JSON text. All other bytes stay as
// received.
func redact(t EventType, body []byte) []byte {
	const redacted = `"[redacted]"`
	spans := valuesOf(body, secretMembers(t))
	if len(spans) == 0 {
		return body
	}
	var out bytes.Buffer
	done := 0
	for _, s := range spans {
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
	for at := 0; at < len(body); at++ {
		if body[at] != '"' {
			continue
		}
		end := afterString(body, at)
		colon := afterSpace(body, end)
		isName := colon < len(body) && body[colon] == ':'
		if !isName || !slices.Contains(names, strings.ToLower(string(stringOf(body[at:end])))) {
			at = end - 1
			continue
		}
		start := afterSpace(body, colon+1)
		end = afterValue(body, start)
		if !slices.Contains([]string{"null", "{}", `""`}, string(body[start:end])) {
			spans = append(spans, span{start, end})
		}
		at = end - 1
	}
	return spans
}

package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"

	strictjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A token names a page of a search: base64url of the question's fingerprint, the limit and the
// place after which the page begins. It isn't secret, and isn't signed: each page is decided
// again, so the token selects only among results that its bearer gets anyway.

var errPageToken = badRequest("page.token must be the page.next_token of an earlier answer to this very question, with the same limit or none.")

// searchPage is the page of a search that is asked for.
type searchPage struct {
	question [sha256.Size]byte
	limit    int
	after    string // the place after which it begins; "" for the beginning
}

// page reads which page of a question is asked for.
func (b questionsBody) page(q question, open sought) (p searchPage, err error) {
	p.limit = defaultLimit
	if p.question, err = q.fingerprint(open); err != nil {
		return p, err
	}
	raw, err := readOptional(b.Page, "page")
	if raw == nil || err != nil {
		return p, err
	}
	var members struct {
		Token jsontext.Value `json:"token"`
		Limit jsontext.Value `json:"limit"`
	}
	if err := readMembers(raw, "page", &members); err != nil {
		return p, err
	}
	limited := members.Limit.Kind() != 0 && members.Limit.Kind() != 'n'
	if limited {
		asked, ok := readWhole(members.Limit)
		if !ok || *asked < 1 || *asked > maxLimit {
			return p, badRequest("page.limit must be a whole number from 1 to 200.")
		}
		p.limit = int(*asked)
	}
	if members.Token.Kind() == 0 || members.Token.Kind() == 'n' {
		return p, nil
	}
	return p.continued(members.Token, limited)
}

// continued returns the page that a token names. An empty token names the first one.
func (p searchPage) continued(raw jsontext.Value, limited bool) (searchPage, error) {
	var token string
	if raw.Kind() != '"' || strictjson.Unmarshal(raw, &token) != nil {
		return p, errPageToken
	}
	if token == "" {
		return p, nil
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(decoded) <= sha256.Size+1 || !bytes.Equal(decoded[:sha256.Size], p.question[:]) {
		return p, errPageToken
	}
	limit := int(decoded[sha256.Size])
	if limit < 1 || limit > maxLimit || limited && limit != p.limit {
		return p, errPageToken
	}
	p.limit, p.after = limit, string(decoded[sha256.Size+1:])
	return p, nil
}

// tokenAfter returns the token of the page after a place; "" if there is none.
func (p searchPage) tokenAfter(place string) string {
	if place == "" {
		return ""
	}
	token := append(p.question[:], byte(p.limit)) //nolint:gosec // a limit is at most 200
	return base64.RawURLEncoding.EncodeToString(append(token, place...))
}

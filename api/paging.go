package api

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/store"
)

const (
	defaultLimit = 50
	maxLimit     = 200
)

// limitOf reads the query parameter limit.
func limitOf(r *http.Request) (int, error) {
	raw, ok, err := parameter(r, "limit")
	if err != nil || !ok {
		return defaultLimit, err
	}
	limit, err := strconv.Atoi(raw)
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, badRequest("limit must be a whole number from 1 to 200.")
	}
	return limit, nil
}

// parameter returns a query parameter that may be given once; ok is false if it isn't. A query that can't be read in full is
// refused, because a parameter that was meant to change the answer must not be overlooked.
func parameter(r *http.Request, name string) (value string, ok bool, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", false, badRequest("The query is malformed.")
	}
	switch values := query[name]; len(values) {
	case 0:
		return "", false, nil
	case 1:
		return values[0], true, nil
	default:
		return "", false, badRequest(name + " must be given once.")
	}
}

// A cursor is the position after which a page begins, as base64url of "milliseconds:membership". It isn't secret: it
// only selects among what its bearer may read.

func encodeCursor(p store.Position) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.JoinedAt.UnixMilli(), 10) + ":" + p.MembershipID))
}

// cursorOf reads the query parameter cursor.
func cursorOf(r *http.Request) (store.Position, error) {
	invalid := badRequest("cursor must be the next_cursor of an earlier answer.")
	raw, ok, err := parameter(r, "cursor")
	if err != nil || !ok {
		return store.Position{}, err
	}
	decoded, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil {
		return store.Position{}, invalid
	}
	at, id, _ := strings.Cut(string(decoded), ":")
	millis, err := strconv.ParseInt(at, 10, 64)
	if err != nil || millis < 0 || millis > maxMillis || !storable(id) {
		return store.Position{}, invalid
	}
	return store.Position{JoinedAt: time.UnixMilli(millis), MembershipID: id}, nil
}

// maxMillis is the end of the year 9999 in epoch milliseconds, far inside what Postgres can hold.
const maxMillis = 253_402_300_799_999

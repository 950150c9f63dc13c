package api

import (
	"encoding/base64"
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
func limitOf(q query) (int, error) {
	raw, ok := q["limit"]
	if !ok {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(raw)
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, badRequest("limit must be a whole number from 1 to 200.")
	}
	return limit, nil
}

// A cursor is the position after which a page begins, as base64url of "milliseconds:membership". It isn't secret: it
// only selects among what its bearer may read.

func encodeCursor(p store.Position) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.JoinedAt.UnixMilli(), 10) + ":" + p.MembershipID))
}

// cursorOf reads the query parameter cursor.
func cursorOf(q query) (store.Position, error) {
	invalid := badRequest("cursor must be the next_cursor of an earlier answer.")
	raw, ok := q["cursor"]
	if !ok {
		return store.Position{}, nil
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

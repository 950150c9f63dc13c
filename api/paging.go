package api

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	defaultLimit = 50
	maxLimit     = 200
)

// page is one page of a list. NextCursor is null on the last.
type page[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"next_cursor"`
}

// pageOf makes a page of the rows found. There is a next page if found holds more than limit rows.
func pageOf[R, T any](found []R, limit int, position func(R) store.Position, body func(R) T) page[T] {
	p := page[T]{Data: []T{}}
	if len(found) > limit {
		found = found[:limit]
		p.NextCursor = new(encodeCursor(position(found[limit-1])))
	}
	for _, row := range found {
		p.Data = append(p.Data, body(row))
	}
	return p
}

// pageWanted reads the query parameters of a list: after which position its page begins, and how
// many rows the page has at most. If the caller doesn't say how many, it is the usual number.
func pageWanted(q query, usual int) (after store.Position, limit int, err error) {
	if limit, err = limitOf(q, usual); err != nil {
		return after, 0, err
	}
	after, err = cursorOf(q)
	return after, limit, err
}

// limitOf reads the query parameter limit; the usual number if there is none.
func limitOf(q query, usual int) (int, error) {
	raw, ok := q["limit"]
	if !ok {
		return usual, nil
	}
	limit, err := strconv.Atoi(raw)
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, badRequest("limit must be a whole number from 1 to 200.")
	}
	return limit, nil
}

// A cursor is the position after which a page begins, as base64url of "milliseconds:id". It isn't
// secret: it selects only among rows that its bearer may read.

func encodeCursor(p store.Position) string {
	return base64.RawURLEncoding.EncodeToString([]byte(placeOf(p)))
}

// placeOf writes a position as text.
func placeOf(p store.Position) string { return strconv.FormatInt(p.At.UnixMilli(), 10) + ":" + p.ID }

// positionAt reads a position that placeOf wrote.
func positionAt(place string) (p store.Position, ok bool) {
	at, id, _ := strings.Cut(place, ":")
	millis, err := strconv.ParseInt(at, 10, 64)
	if err != nil || millis < 0 || millis > maxMillis || !clerksync.Storable(id) {
		return store.Position{}, false
	}
	return store.Position{At: time.UnixMilli(millis), ID: id}, true
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
	position, ok := positionAt(string(decoded))
	if !ok {
		return store.Position{}, invalid
	}
	return position, nil
}

// maxMillis is the end of the year 9999 in epoch milliseconds, well within the range of Postgres.
const maxMillis = 253_402_300_799_999

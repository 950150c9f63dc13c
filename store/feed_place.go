package store

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// ErrPlaceExpired says that a place in the change feed doesn't count any more: it is of a history
// that a failover or a restored backup has cut off, or what follows it was cut out of the log.
var ErrPlaceExpired = errors.New("the place in the change feed has expired")

// ErrNoPlace says that a text is no place in the change feed.
var ErrNoPlace = errors.New("the text is no place in the change feed")

// FeedPlace is a place in the change feed: after the change of a number. The zero value is the
// beginning.
//
// A number alone is no place. After a failover, another change may get the number of one that was
// lost. The history names the database that gave it, and the time is when it did so: a backup that
// is restored unnoticed has the same history, but gives no number at the same microsecond.
type FeedPlace struct {
	Number      int64
	History     [16]byte
	PublishedAt time.Time
	// Cut is the last cut of the feed when the place was given. Later ones may have taken out what
	// follows, while the consumer keeps what came before.
	Cut int64
}

// A place is written as base64url of a version, the history, and three numbers.
const (
	placeVersion = 1
	placeSize    = 1 + 16 + 3*8
)

// String returns the place as text, the cursor of a consumer. It isn't secret.
func (p FeedPlace) String() string {
	raw := append(make([]byte, 0, placeSize), placeVersion)
	raw = append(raw, p.History[:]...)
	for _, n := range []int64{p.Number, p.Cut, p.PublishedAt.UnixMicro()} {
		raw = binary.BigEndian.AppendUint64(raw, uint64(n)) //nolint:gosec // as it is read
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// ParseFeedPlace reads what [FeedPlace.String] wrote. The error is [ErrNoPlace].
func ParseFeedPlace(text string) (p FeedPlace, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != placeSize || raw[0] != placeVersion {
		return FeedPlace{}, ErrNoPlace
	}
	copy(p.History[:], raw[1:])
	number := func(i int) int64 { return int64(binary.BigEndian.Uint64(raw[17+8*i:])) } //nolint:gosec // negative ones are refused
	p.Number, p.Cut, p.PublishedAt = number(0), number(1), time.UnixMicro(number(2)).UTC()
	if p.Number < 0 || p.Cut < 0 || p.PublishedAt.Before(time.Unix(0, 0)) || p.PublishedAt.After(endOfTime()) {
		return FeedPlace{}, ErrNoPlace
	}
	return p, nil
}

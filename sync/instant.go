package sync

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxMillis is the end of the year 9999, the last that RFC 3339 can write.
const maxMillis = 253_402_300_799_999

// secondsLimit tells Clerk's two units of timestamp apart: real deliveries carry milliseconds, the
// dashboard's examples carry seconds. As seconds it is the year 5138, as milliseconds March 1973.
const secondsLimit = 100_000_000_000

// millis returns an instant in epoch milliseconds. One rule reads every instant of a body: a number
// of milliseconds or seconds, a string of the same digits, or RFC 3339.
func (o object) millis(name string) member[int64] {
	raw := o.raw(name)
	out := member[int64]{present: raw.present, null: raw.null}
	if !out.present || out.null {
		return out
	}
	var ok bool
	if out.value, ok = instantOf(raw.value); !ok {
		out.value, out.err = 0, fmt.Errorf("%w: member %q is not an instant", ErrUndecodable, name)
	}
	return out
}

// instantOf reads one JSON value.
func instantOf(raw json.RawMessage) (millis int64, ok bool) {
	if number, err := strconv.ParseInt(string(raw), 10, 64); err == nil && number >= 0 && number <= maxMillis { // as Clerk writes it
		return inMillis(number), true
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		var number float64 // exact up to 2^53, which is far beyond maxMillis
		if json.Unmarshal(raw, &number) != nil || number < 0 || number > maxMillis || number != math.Trunc(number) {
			return 0, false
		}
		return inMillis(int64(number)), true
	}
	if text != "" && strings.Trim(text, "0123456789") == "" {
		number, err := strconv.ParseInt(text, 10, 64)
		return inMillis(number), err == nil && number <= maxMillis
	}
	at, err := time.Parse(time.RFC3339, text)
	return at.UnixMilli(), err == nil && at.UnixMilli() >= 0 && at.UnixMilli() <= maxMillis
}

// inMillis turns seconds into milliseconds, if they are seconds.
func inMillis(n int64) int64 {
	if n < secondsLimit {
		return n * 1000
	}
	return n
}

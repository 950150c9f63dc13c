package main

import (
	"fmt"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
)

// moment is an instant on the command line. The zero moment is none.
type moment struct{ time.Time }

// UnmarshalText implements [encoding.TextUnmarshaler]: the parser then refuses wrong values.
func (m *moment) UnmarshalText(text []byte) error {
	at, err := readMoment(string(text), time.Now())
	m.Time = at
	return err
}

// readMoment reads an instant: in RFC 3339, as a date in UTC, as today or yesterday in UTC, or as
// an age such as 90m, 7d or 2w.
func readMoment(text string, now time.Time) (time.Time, error) {
	today := now.UTC().Truncate(24 * time.Hour)
	switch text {
	case "today":
		return today, nil
	case "yesterday":
		return today.AddDate(0, 0, -1), nil
	}
	if age, err := config.ParseDuration(text); err == nil && age >= 0 {
		return now.Add(-age), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no instant: write an age (90m, 7d, 2w), a date (2026-01-02, today, yesterday) or an instant (2026-01-02T15:04:05Z)", text)
}

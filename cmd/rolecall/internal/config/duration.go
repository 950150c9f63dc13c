package config

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"time"
)

// duration is a duration with weeks and days. A day has 24 hours.
var duration = regexp.MustCompile(`^(?:(\d+)w)?(?:(\d+)d)?(.*)$`)

// ParseDuration reads a duration as settings and flags take it: a Go duration such as 90m or 1h30m,
// with weeks and days before it, such as 7d, 2w or 1d12h.
func ParseDuration(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	parts := duration.FindStringSubmatch(text)
	if parts == nil || text == "" {
		return 0, errNoDuration
	}
	total := time.Duration(0)
	for i, unit := range []time.Duration{7 * day, day} {
		if parts[i+1] == "" {
			continue
		}
		n, err := strconv.ParseInt(parts[i+1], 10, 64)
		if err != nil || n > int64((math.MaxInt64-total)/unit) {
			return 0, errNoDuration
		}
		total += time.Duration(n) * unit
	}
	if parts[3] == "" {
		return total, nil
	}
	rest, err := time.ParseDuration(parts[3])
	if err != nil || total > 0 && (rest < 0 || rest > math.MaxInt64-total) {
		return 0, errNoDuration
	}
	return total + rest, nil
}

var errNoDuration = errors.New("not a duration")

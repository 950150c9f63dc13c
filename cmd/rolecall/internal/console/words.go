package console

import (
	"html/template"
	"strings"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// told makes a text of an alarm a sentence, and what stands between backquotes code. A name at its
// beginning, such as sweep_2, stays as it is.
func told(text string) template.HTML {
	first, _, _ := strings.Cut(text, " ")
	if text != "" && !strings.ContainsAny(first, "_`") {
		text = sentence(text)
	} else {
		text = strings.TrimSuffix(text, ".") + "."
	}
	return prose(text)
}

// dated writes an instant to the second, in UTC, on one line.
func dated(at time.Time) template.HTML {
	return template.HTML("<time>" + atSecond(at) + "</time>") //nolint:gosec // digits and a month
}

func atSecond(at time.Time) string { return at.UTC().Format("2 Jan 2006 15:04:05 UTC") }

// exactly writes an instant with milliseconds, in UTC.
func exactly(instant any) string {
	switch at := instant.(type) {
	case time.Time:
		return at.UTC().Format("2 Jan 2006 15:04:05.000 UTC")
	case *time.Time:
		if at != nil {
			return exactly(*at)
		}
	}
	return "never"
}

// orUnmeasured writes a counter that may not have been measured.
func orUnmeasured(n *int64) string {
	if n == nil {
		return "–"
	}
	return number(*n)
}

// causeInWords says why an object differed from Clerk.
func causeInWords(cause store.DriftCause) string {
	switch cause {
	case store.CauseUndelivered:
		return "no webhook reported it"
	case store.CauseFirstFill:
		return "first fill of the mirror"
	case store.CauseWaiting:
		return "a delivery waits to be applied"
	case store.CauseQuarantined:
		return "a delivery is quarantined"
	case store.CauseLag:
		return "Clerk's reads are behind"
	default:
		return string(cause)
	}
}

// sweepPath returns the path of a sweep's page by the sweep's name.
func sweepPath(name string) string {
	_, number, _ := strings.Cut(name, "_")
	if _, ok := clerksync.SweepID(name); !ok {
		return "/sweeps"
	}
	return pathTo("sweeps", number)
}

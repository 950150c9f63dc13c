package replica

import (
	"errors"
	"fmt"
)

// Outcome says how a replica answered a question, or why it didn't.
type Outcome string

// The outcomes. All but the first leave the answer to the primary, or to another replica.
const (
	OutcomeAnswered      Outcome = "answered"
	OutcomeBehind        Outcome = "behind"          // it shows no pulse of late
	OutcomeUnheard       Outcome = "primary_unheard" // no pulse was written on the primary of late
	OutcomeLate          Outcome = "late"            // the answer took too long to count
	OutcomeUnreachable   Outcome = "unreachable"     // it doesn't take connections, or doesn't answer
	OutcomeFailed        Outcome = "failed"          // it answered with an error, such as a conflict with recovery
	OutcomeNotInRecovery Outcome = "not_in_recovery" // it is a primary
	OutcomeOtherHistory  Outcome = "other_history"   // it follows another primary, or has yet to follow this one
	OutcomeRefused       Outcome = "refused"         // it is of another cluster, or there is a pooler between
	OutcomeNotThere      Outcome = "not_there"       // it lacks who or what was asked about: the primary may have it
)

// Outcomes lists all outcomes.
func Outcomes() []Outcome {
	return []Outcome{
		OutcomeAnswered, OutcomeBehind, OutcomeUnheard, OutcomeLate, OutcomeUnreachable, OutcomeFailed, OutcomeNotInRecovery,
		OutcomeOtherHistory, OutcomeRefused, OutcomeNotThere,
	}
}

// ErrOutdated says that a request took so long that what it read first isn't proven any more. It
// must begin again, on the primary.
var ErrOutdated = errors.New("the request's first answer is out of date")

// unfitError says why a replica gave no answer that counts.
type unfitError struct {
	outcome Outcome
	cause   error // nil if the outcome says all
	unasked bool  // it was known before, so that the replica wasn't asked
}

// Error implements error.
func (e *unfitError) Error() string {
	if e.cause == nil {
		return "the replica can't answer: " + string(e.outcome)
	}
	return fmt.Sprintf("the replica can't answer: %s: %v", e.outcome, e.cause)
}

// Unwrap returns the cause.
func (e *unfitError) Unwrap() error { return e.cause }

func unfit(o Outcome) error { return &unfitError{outcome: o} }

// outcomeOf names what an error of a read on a replica means.
func outcomeOf(err error) Outcome {
	if why, ok := errors.AsType[*unfitError](err); ok {
		return why.outcome
	}
	return OutcomeFailed
}

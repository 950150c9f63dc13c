package clerkapi

import "context"

// Purpose says what an interactive call is for.
type Purpose int

// The purposes of interactive calls. While their part of the budget is short, a later one goes before an earlier one.
const (
	ForStranger   Purpose = iota + 1 // to look somebody up whom nobody knows yet
	ForCommand                       // to change an organization or an invitation
	ForMembership                    // to change a membership, or to learn who may
	ForRemoval                       // to end a membership, or to learn who may
)

// callsOfAChange is how many calls one change takes: who may, and the change.
const callsOfAChange = 2

// left is how much of the interactive burst a purpose leaves for those that go before it, one change for each: so strangers who
// knock don't keep anybody from changing something, nor whoever changes much an admin from removing somebody.
func (p Purpose) left() float64 { return float64(callsOfAChange * (ForRemoval - p)) }

type interactiveKey struct{}

// Interactive marks the calls made with the returned context as ones that somebody waits for. They don't wait for the
// budget but take from what a sweep would get next, at most half of it; beyond that they fail with [ErrRateLimited]. They
// aren't tried again.
func Interactive(ctx context.Context, purpose Purpose) context.Context {
	return context.WithValue(ctx, interactiveKey{}, purpose)
}

// purposeOf returns what an interactive call is for, or 0 for a background call.
func purposeOf(ctx context.Context) Purpose {
	purpose, _ := ctx.Value(interactiveKey{}).(Purpose)
	return purpose
}

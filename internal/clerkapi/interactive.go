package clerkapi

import (
	"context"

	clerksync "github.com/callmine/rolecall/sync"
)

// Purpose says what interactive calls are for.
type Purpose int

// The purposes of interactive calls. While Clerk's limit is near, a later one goes before an earlier one. Background calls have none.
const (
	background    Purpose = iota
	ForStranger           // to look somebody up whom nobody knows yet
	ForCommand            // to change an organization or an invitation
	ForMembership         // to change a membership
	ForRemoval            // to end a membership
)

// calls is how many calls a purpose takes, as a rule: of a stranger the membership and the account; to rename an organization who may
// and the change, to make one that and who is in it; for a membership also whether the account of who asks may act.
func (p Purpose) calls() float64 {
	if p <= ForCommand {
		return 2
	}
	return 3
}

// left is how many calls a purpose leaves for those that go before it, enough for one of each: so strangers who
// knock don't keep anybody from changing something, nor whoever changes much an admin from removing somebody.
func (p Purpose) left() (left float64) {
	for before := p + 1; before <= ForRemoval; before++ {
		left += before.calls()
	}
	return left
}

// interactive is what some calls are for that somebody waits for. The budget's lock guards it.
type interactive struct {
	purpose Purpose
	atEnd   func(func()) // does something once the calls have ended
	begun   bool         // one of them was let through
	saved   float64      // calls that are kept for it until the end
}

type interactiveKey struct{}

// Interactive marks the calls made with the returned context as ones that somebody waits for, and that belong together: they end with
// ctx. They don't wait for the budget: they may use Clerk's limit but for a twentieth, and sweeps wait meanwhile. Nearer to Clerk's
// limit, and for strangers beyond half the rate of background calls, they fail with [ErrRateLimited]: the first of them if there isn't
// enough for all. They aren't tried again.
func Interactive(ctx context.Context, purpose Purpose) context.Context {
	return context.WithValue(ctx, interactiveKey{}, &interactive{
		purpose: purpose, atEnd: func(do func()) { context.AfterFunc(ctx, do) },
	})
}

// Begin marks the calls that carry out a command, and end with ctx, as [Interactive] ones.
func (c *Client) Begin(ctx context.Context, action clerksync.Action) context.Context {
	switch action {
	case clerksync.ActionMemberRemoved:
		return Interactive(ctx, ForRemoval)
	case clerksync.ActionMemberRoleChanged:
		return Interactive(ctx, ForMembership)
	default:
		return Interactive(ctx, ForCommand)
	}
}

// purposeOf returns what a call is for.
func purposeOf(ctx context.Context) Purpose {
	if i := interactiveOf(ctx); i != nil {
		return i.purpose
	}
	return background
}

// interactiveOf returns what an interactive call is part of, or nil for a background call.
func interactiveOf(ctx context.Context) *interactive {
	i, _ := ctx.Value(interactiveKey{}).(*interactive)
	return i
}

package clerkapi

import (
	"context"

	clerksync "github.com/callmine/rolecall/sync"
)

// Purpose is the reason for interactive calls.
type Purpose int

// The purposes of interactive calls. They rise in urgency: near Clerk's limit, each leaves calls
// for those after it. Background calls have no purpose.
const (
	background    Purpose = iota
	ForStranger           // to look up a stranger: a user whose membership isn't known yet
	ForCommand            // to change an organization or an invitation
	ForMembership         // to change a membership
	ForRemoval            // to end a membership
)

// String names a purpose in metrics.
func (p Purpose) String() string {
	switch p {
	case ForStranger:
		return "stranger"
	case ForCommand:
		return "command"
	case ForMembership:
		return "membership"
	case ForRemoval:
		return "removal"
	case background:
		return "background"
	default:
		return "unknown"
	}
}

// calls is the usual number of calls for a purpose. A look-up of a stranger asks for the membership
// and the account. A command about an organization asks for the actor's role and makes the change;
// a creation makes the change and asks for the new membership. A command about a membership also
// asks for the actor's account.
func (p Purpose) calls() float64 {
	if p <= ForCommand {
		return 2
	}
	return 3
}

// left is how many calls a purpose leaves for more urgent work: enough for one piece of each
// purpose. So strangers don't block a command, and many commands don't block a removal.
func (p Purpose) left() (left float64) {
	for before := p + 1; before <= ForRemoval; before++ {
		left += before.calls()
	}
	return left
}

// interactive describes interactive calls that belong together. The budget's lock guards it.
type interactive struct {
	purpose Purpose
	atEnd   func(func()) // registers a function to call once the calls have ended
	begun   bool         // one of them was sent
	saved   float64      // calls that are kept for it until the end
	leased  int64        // calls that are leased for it
	term    int          // when they were leased
}

type interactiveKey struct{}

// Interactive marks the calls made with the returned context as interactive: a caller waits for
// them. They belong together and end with ctx. They don't wait for the budget, and may use all but
// a twentieth of Clerk's limit; sweeps wait meanwhile. A shared budget is asked once for all of
// them. Beyond that they fail with [ErrRateLimited]. Look-ups of strangers also fail beyond half
// the rate of background calls. If too few calls are left for all that belong together, the first
// one fails. They aren't tried again.
func Interactive(ctx context.Context, purpose Purpose) context.Context {
	return context.WithValue(ctx, interactiveKey{}, &interactive{
		purpose: purpose, atEnd: func(do func()) { context.AfterFunc(ctx, do) },
	})
}

// Begin marks the calls that carry out a command as [Interactive]. They end with ctx.
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

// purposeOf returns the purpose of a call.
func purposeOf(ctx context.Context) Purpose {
	if i := interactiveOf(ctx); i != nil {
		return i.purpose
	}
	return background
}

// interactiveOf returns the group of an interactive call, or nil for a background call.
func interactiveOf(ctx context.Context) *interactive {
	i, _ := ctx.Value(interactiveKey{}).(*interactive)
	return i
}

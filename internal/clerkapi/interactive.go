package clerkapi

import "context"

type interactiveKey struct{}

// Interactive marks the calls made with the returned context as ones that somebody waits for. They don't wait for the
// budget but take from what a sweep would get next, at most half of it; beyond that they fail with [ErrRateLimited]. They
// aren't tried again.
func Interactive(ctx context.Context) context.Context {
	return context.WithValue(ctx, interactiveKey{}, true)
}

func isInteractive(ctx context.Context) bool {
	marked, _ := ctx.Value(interactiveKey{}).(bool)
	return marked
}

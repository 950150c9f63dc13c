package demo

import (
	"context"
	"errors"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
)

// errNoPostgres is why dev ends by itself: nothing works without its database.
var errNoPostgres = errors.New("the database server has ended, and nothing works without it: start dev again")

// untilEnd waits until ctx ends, or returns why dev can't go on. postgresEnded is closed when dev's
// own server has ended.
func untilEnd(ctx context.Context, service *service.Service, postgresEnded <-chan struct{}) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-postgresEnded:
			cancel(errNoPostgres)
		case <-ctx.Done():
		}
	}()
	if err := service.Wait(ctx, nil); err != nil {
		return err
	}
	if errors.Is(context.Cause(ctx), errNoPostgres) {
		return errNoPostgres
	}
	return nil
}

// unlessEnded returns why ctx has ended, if it has, in the place of a start's error. Such a start
// was interrupted, and its error only says what that cut: how far initdb had come, for one.
func unlessEnded(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return err
}

// requestsTimeout is how long the end of each listener waits for requests under way. So the end of
// all takes less than three seconds. Browsers open connections in advance, and on some they never
// send a request.
const requestsTimeout = 300 * time.Millisecond

// inTime gives the end of a listener little time.
func inTime(end func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, requestsTimeout)
		defer cancel()
		return unlessCut(end)(ctx)
	}
}

// unlessCut drops the error of an end that cut requests: whoever ends dev waits for none.
func unlessCut(end func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := end(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	}
}

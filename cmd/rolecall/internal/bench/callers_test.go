package bench_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// closedLoop lets each caller repeat an action for a while, and returns how often all did it.
func closedLoop(b *testing.B, callers int, length time.Duration, do func(caller int) error) (done int) {
	b.Helper()
	counts, errs := make([]int, callers), make([]error, callers)
	end := time.Now().Add(length)
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			n := 0
			for ; errs[i] == nil && time.Now().Before(end); n++ {
				errs[i] = do(i)
			}
			counts[i] = n
		})
	}
	group.Wait()
	require.NoError(b, errors.Join(errs...))
	for _, n := range counts {
		done += n
	}
	return done
}

// repeat lets callers do something so many times in all.
func repeat(b *testing.B, callers, times int, do func(caller int) error) {
	b.Helper()
	errs := make([]error, callers)
	var begun atomic.Int64
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			for errs[i] == nil && begun.Add(1) <= int64(times) {
				errs[i] = do(i)
			}
		})
	}
	group.Wait()
	require.NoError(b, errors.Join(errs...))
}

// perSecond returns how often callers do something in a second.
func perSecond(b *testing.B, callers int, length time.Duration, do func(caller int) error) float64 {
	b.Helper()
	began := time.Now()
	done := closedLoop(b, callers, length, do)
	return float64(done) / time.Since(began).Seconds()
}

// asker asks over one connection that it keeps. It costs the callers' machine less than
// [http.Client], which has a goroutine for each direction.
type asker struct {
	wire *servicetest.Wire
	make func(context.Context) (*http.Request, error)
}

// newAskers returns one for each caller. They end with the benchmark.
func newAskers(b *testing.B, addr string, callers int, request func(ctx context.Context, caller int) (*http.Request, error)) []asker {
	b.Helper()
	askers := make([]asker, callers)
	for i := range askers {
		wire := &servicetest.Wire{Dial: servicetest.DialTCP(addr), Keep: true}
		b.Cleanup(wire.Close)
		askers[i] = asker{wire: wire, make: func(ctx context.Context) (*http.Request, error) { return request(ctx, i) }}
	}
	return askers
}

// ask returns the text of a 200.
func (a asker) ask(ctx context.Context) (string, error) {
	status, text, err := a.try(ctx)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, text)
	}
	return text, err
}

func (a asker) try(ctx context.Context) (status int, text string, err error) {
	request, err := a.make(ctx)
	if err != nil {
		return 0, "", err
	}
	answer, err := a.wire.Do(ctx, request)
	return answer.Status, answer.Text, err
}

// asking returns the action of callers that ask.
func asking(b *testing.B, askers []asker) func(caller int) error {
	b.Helper()
	return func(caller int) error {
		_, err := askers[caller].ask(b.Context())
		return err
	}
}

// withToken makes a GET as the bearer of a token.
func withToken(ctx context.Context, path, token string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://bench"+path, http.NoBody)
	if err == nil && token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request, err
}

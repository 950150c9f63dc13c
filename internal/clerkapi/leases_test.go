package clerkapi_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
	clerksync "github.com/callmine/rolecall/sync"
)

// board grants calls to the clients of one instance, as the database does: package store has its
// tests. It may be slow or away.
type board struct {
	mu     sync.Mutex
	delay  time.Duration
	away   bool
	asked  int
	rows   map[int64]boardRow
	paused []time.Time
}

type boardRow struct {
	turn int64
	ends map[time.Time]int64 // when calls don't count any more
}

func newBoard() *board { return &board{rows: map[int64]boardRow{}} }

func (b *board) lease(ctx context.Context, d clerksync.CallDemand) (lease clerksync.CallLease, err error) {
	b.mu.Lock()
	delay, away := b.delay, b.away
	b.asked++
	b.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return lease, ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if away || b.rows[d.Client].turn >= d.Turn {
		return lease, errors.New("away, or too late")
	}
	now, window := time.Now(), seconds(d.Window)
	for purpose, s := range d.Paused {
		for len(b.paused) <= purpose {
			b.paused = append(b.paused, time.Time{})
		}
		if until := now.Add(seconds(s)); s > 0 && until.After(b.paused[purpose]) {
			b.paused[purpose] = until
		}
	}
	for _, until := range b.paused {
		lease.Paused = append(lease.Paused, max(0, until.Sub(now)))
	}
	row := boardRow{turn: d.Turn, ends: map[time.Time]int64{now.Add(seconds(d.Lasts) + window): d.Held}}
	for _, s := range d.Sent {
		row.ends[now.Add(window-seconds(s.Age))] += s.Calls
	}
	b.rows[d.Client] = row
	ends := []time.Time{}
	for _, row := range b.rows {
		for end, calls := range row.ends {
			if end.After(now) {
				lease.Used += calls
				ends = append(ends, slices.Repeat([]time.Time{end}, int(calls))...)
			}
		}
	}
	paused := d.Purpose < len(lease.Paused) && lease.Paused[d.Purpose] > 0
	if grant := min(d.Want, d.Most-lease.Used); !paused && grant >= max(1, d.Least) {
		lease.Granted = grant
		row.ends[now.Add(seconds(d.Lasts)+window)] += grant
	} else if missing := lease.Used + d.Least - d.Most; d.Least > 0 && missing > 0 {
		slices.SortFunc(ends, time.Time.Compare)
		lease.Wait = window
		if int(missing) <= len(ends) {
			lease.Wait = ends[missing-1].Sub(now)
		}
	}
	return lease, nil
}

func (b *board) set(change func(*board)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

func (b *board) questions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// sharing returns clients that share a budget and a Clerk. The test must close them in its bubble.
func sharing(t *testing.T, n int, b *board, w http.RoundTripper) (clients []*clerkapi.Client) {
	t.Helper()
	for range n {
		clients = append(clients, newClient(t, clerkapi.Config{Transport: w, Lease: b.lease}))
	}
	return clients
}

// commandOf is one command with two calls, and a pause between them.
func commandOf(ctx context.Context, client *clerkapi.Client, purpose clerkapi.Purpose, between time.Duration) (calls int, err error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	ctx = clerkapi.Interactive(ctx, purpose)
	for calls = range 2 {
		if _, err := client.Instance(ctx); err != nil {
			return calls, err
		}
		wait(between)
	}
	return 2, nil
}

// TestLeases_ClientsTogetherKeepToTheLimit: a sweep and floods of commands in three processes send
// no more than one process may. A command that has begun is finished, also one that takes longer
// than a lease lasts.
func TestLeases_ClientsTogetherKeepToTheLimit(t *testing.T) {
	t.Parallel()
	for name, delay := range map[string]time.Duration{"quick": time.Millisecond, "slow": 300 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, w := newBoard(), always(http.StatusOK, okDevelopment)
				b.delay = delay
				clients := sharing(t, 3, b, w)
				ctx, stop := context.WithCancel(t.Context()) // without a deadline, which calls would go by
				time.AfterFunc(60*time.Second, stop)
				var working sync.WaitGroup
				var mu sync.Mutex
				done := make([]int, len(clients))
				for i, client := range clients {
					working.Go(func() { // a sweep
						for ctx.Err() == nil {
							_, _ = client.Instance(ctx)
						}
					})
					for n := range 4 {
						working.Go(func() {
							for ctx.Err() == nil {
								calls, err := commandOf(context.WithoutCancel(ctx), client, clerkapi.ForRemoval, time.Duration(n)*900*time.Millisecond)
								if err != nil {
									if calls != 0 {
										t.Errorf("a command that had begun was refused: %v", err)
									}
									wait(300 * time.Millisecond)
									continue
								}
								mu.Lock()
								done[i]++
								mu.Unlock()
							}
						})
					}
				}
				working.Wait()
				for _, client := range clients {
					client.Close()
				}
				require.LessOrEqual(t, mostWithin(w.times()), 95)
				require.Greater(t, len(w.times()), 6*70, "they use the limit")
				for _, n := range done {
					require.Greater(t, n, 10, "each gets calls")
				}
			})
		})
	}
}

// TestLeases_OneAloneIsNotSlowed: thirty commands at once, beside a sweep at its rate, with few
// questions.
func TestLeases_OneAloneIsNotSlowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, w := newBoard(), always(http.StatusOK, okDevelopment)
		client := sharing(t, 1, b, w)[0]
		began := time.Now()
		sweep(t, client, 4, 10)
		require.InDelta(t, 40.0/2, time.Since(began).Seconds(), 1.5)
		require.LessOrEqual(t, b.questions(), 45)
		asked := time.Now()
		for range 30 {
			require.NoError(t, command(t, client, clerkapi.ForCommand))
		}
		require.Equal(t, asked, time.Now(), "at once")
		require.LessOrEqual(t, b.questions(), 45+30, "one for each command")
		wait(time.Minute)
		idle := b.questions()
		wait(time.Hour)
		require.Equal(t, idle, b.questions(), "an idle process asks nothing")
		client.Close()
	})
}

// TestLeases_OfAKilledProcessEnd, and their calls come back.
func TestLeases_OfAKilledProcessEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, w := newBoard(), always(http.StatusOK, okDevelopment)
		_, err := b.lease(t.Context(), clerksync.CallDemand{Client: 1, Turn: 1, Window: 10, Lasts: 2, Least: 1, Want: 80, Most: 95}) // it dies
		require.NoError(t, err)
		client := sharing(t, 1, b, w)[0]
		var refusal *clerkapi.Error
		for err := error(nil); err == nil; err = command(t, client, clerkapi.ForCommand) {
		}
		require.ErrorAs(t, askFor(t, client, clerkapi.ForCommand), &refusal)
		require.LessOrEqual(t, len(w.times()), 15)
		wait(12 * time.Second)
		for range 30 {
			require.NoError(t, command(t, client, clerkapi.ForCommand))
		}
		client.Close()
	})
}

// TestLeases_ThatCameTooLateAreNotUsed: as after a stop of the process.
func TestLeases_ThatCameTooLateAreNotUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := always(http.StatusOK, okDevelopment)
		client := newClient(t, clerkapi.Config{Transport: w, Lease: func(_ context.Context, d clerksync.CallDemand) (clerksync.CallLease, error) {
			wait(3 * time.Second)
			return clerksync.CallLease{Granted: d.Want}, nil
		}})
		for range 5 {
			_ = askFor(t, client, clerkapi.ForRemoval)
		}
		require.LessOrEqual(t, mostWithin(w.times()), 1, "what a client may send without a lease")
		client.Close()
	})
}

// TestLeases_WithoutTheDatabaseFewCallsAreSent, and none waits for it.
func TestLeases_WithoutTheDatabaseFewCallsAreSent(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*board){
		"refuses": func(b *board) { b.away = true }, "hangs": func(b *board) { b.delay = time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, w := newBoard(), always(http.StatusOK, okDevelopment)
				client := sharing(t, 1, b, w)[0]
				b.set(fault)
				for began := time.Now(); time.Since(began) < time.Minute; wait(100 * time.Millisecond) {
					asked := time.Now()
					_ = askFor(t, client, clerkapi.ForRemoval)
					_, err := client.Instance(t.Context())
					if err != nil {
						require.ErrorIs(t, err, clerkapi.ErrRateLimited)
					}
					require.LessOrEqual(t, time.Since(asked), 2500*time.Millisecond)
				}
				require.LessOrEqual(t, mostWithin(w.times()), 1)
				require.GreaterOrEqual(t, len(w.times()), 5)
				b.set(func(b *board) { b.delay, b.away = 0, false })
				wait(2 * time.Second)
				require.NoError(t, command(t, client, clerkapi.ForRemoval))
				client.Close()
			})
		})
	}
}

// TestLeases_APauseIsForAllProcesses, those too that lease nothing before it, and for each purpose
// as in one process.
func TestLeases_APauseIsForAllProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		throttled := sharing(t, 1, b, always(http.StatusTooManyRequests, tooMany, "Retry-After", "8"))[0]
		w := always(http.StatusOK, okDevelopment)
		other := sharing(t, 1, b, w)[0]
		require.ErrorIs(t, ask(t, throttled), clerkapi.ErrRateLimited)
		wait(10 * time.Millisecond)
		var refusal *clerkapi.Error
		require.ErrorAs(t, askFor(t, other, clerkapi.ForStranger), &refusal)
		require.Contains(t, refusal.Message, "Clerk asked to wait")
		require.InDelta(t, 8, refusal.RetryAfter.Seconds(), 0.1)
		require.NoError(t, askFor(t, other, clerkapi.ForRemoval), "more urgent")
		began := time.Now()
		sweep(t, other, 1, 1)
		require.InDelta(t, 8, time.Since(began).Seconds(), 0.1)
		require.NoError(t, askFor(t, other, clerkapi.ForStranger))
		throttled.Close()
		other.Close()
	})
}

// TestLeases_AreGivenBackAtTheEnd: a command of the command line leaves nothing leased.
func TestLeases_AreGivenBackAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		client, err := clerkapi.New(clerkapi.Config{
			Transport: always(http.StatusOK, okInstance), SecretKey: secretKey, Lease: b.lease, Logger: slog.New(slog.DiscardHandler), CallsPerSecond: 100,
		})
		require.NoError(t, err)
		sweep(t, client, 1, 1)
		client.Close()
		lease, err := b.lease(t.Context(), clerksync.CallDemand{Client: 1, Turn: 1, Window: 10})
		require.NoError(t, err)
		require.EqualValues(t, 1, lease.Used)
	})
}

// TestLeases_EndIfTheyCannotBeProlonged: work that has begun sends no call that the others don't
// count any more. A process that was stopped does the same when it goes on.
func TestLeases_EndIfTheyCannotBeProlonged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, w := newBoard(), always(http.StatusOK, okDevelopment)
		client := sharing(t, 1, b, w)[0]
		var begun []context.Context
		for range 5 {
			ctx := clerkapi.Interactive(t.Context(), clerkapi.ForRemoval)
			_, err := client.Instance(ctx)
			require.NoError(t, err)
			begun = append(begun, ctx)
		}
		b.set(func(b *board) { b.away = true })
		wait(1500 * time.Millisecond)
		_, err := client.Instance(begun[0])
		require.NoError(t, err, "leased for two seconds")
		wait(3 * time.Second)
		for _, ctx := range begun {
			_, _ = client.Instance(ctx)
		}
		require.Len(t, w.times(), 5+1+1, "what a client may send without a lease")
		client.Close()
	})
}

// TestLeases_ANewProcessLearnsTheInstance, although the others use up what it takes for Clerk's
// limit. Otherwise it would carry out no command while another process of a production instance
// sweeps.
func TestLeases_ANewProcessLearnsTheInstance(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(*testing.T, *clerkapi.Client) error{
		"background": ask,
		"interactive": func(t *testing.T, c *clerkapi.Client) error {
			t.Helper()
			return askFor(t, c, clerkapi.ForRemoval)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, w := newBoard(), always(http.StatusOK, okInstance)
				client := sharing(t, 1, b, w)[0]
				_, err := b.lease(t.Context(), clerksync.CallDemand{Client: 1, Turn: 1, Window: 10, Lasts: 2, Least: 200, Want: 200, Most: 600})
				require.NoError(t, err)
				began := time.Now()
				require.NoError(t, ask(t, client))
				require.Equal(t, began, time.Now(), "at once")
				for range 30 {
					require.NoError(t, command(t, client, clerkapi.ForCommand))
				}
				client.Close()
			})
		})
	}
}

// TestLeases_ANewProcessAsksOnce, if Clerk doesn't answer: the others may have used the limit up.
func TestLeases_ANewProcessAsksOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, w := newBoard(), always(http.StatusInternalServerError, "")
		client := sharing(t, 1, b, w)[0]
		for turn := range int64(9) {
			_, err := b.lease(t.Context(), clerksync.CallDemand{Client: 1, Turn: turn + 1, Window: 10, Lasts: 2, Least: 0, Want: 100, Most: 600})
			require.NoError(t, err)
			require.Error(t, askFor(t, client, clerkapi.ForRemoval))
			wait(time.Second)
		}
		require.Len(t, w.times(), 1)
		client.Close()
	})
}

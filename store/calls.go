package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// errLateDemand is the error of a demand that the database got after a later one.
var errLateDemand = errors.New("a later demand of this client came first")

// LeaseCalls replaces what a client told of its calls to Clerk, and leases it as many more as it
// wants, if that leaves all clients together within what the demand allows. It is one round trip,
// and two statements in one transaction: a client that is stopped meanwhile holds nothing up. Until
// the end of a lease, and for one window after it, its calls count as if they had been sent last.
func LeaseCalls(ctx context.Context, db DBTX, d clerksync.CallDemand) (lease clerksync.CallLease, err error) {
	params := leaseParams(d)
	noted := false
	var p pipeline
	p.exec(dbsqlc.LockClerkPace, nil)
	query(&p, dbsqlc.LeaseClerkCalls, func(r dbsqlc.LeaseClerkCallsRow) error {
		noted = r.Noted
		lease = clerksync.CallLease{Granted: r.Granted, Used: r.Used, Wait: seconds(r.WaitSeconds)}
		for i, purpose := range r.PausedPurposes {
			lease.Paused = append(lease.Paused, make([]time.Duration, max(0, int(purpose)+1-len(lease.Paused)))...)
			lease.Paused[purpose] = seconds(r.PausedSeconds[i])
		}
		return nil
	}, params...)
	if err := p.run(ctx, db); err != nil {
		return clerksync.CallLease{}, fmt.Errorf("lease calls to Clerk: %w", err)
	}
	if !noted {
		return clerksync.CallLease{}, fmt.Errorf("lease calls to Clerk: %w", errLateDemand)
	}
	return lease, nil
}

// CountedCalls returns how many calls to Clerk of all clients count now: those of the last ten
// seconds, and those that are leased.
func CountedCalls(ctx context.Context, db DBTX) (int64, error) {
	calls, err := queries().ClerkCallsCounted(ctx, db, clerksync.ClerkWindow.Seconds())
	if err != nil {
		return 0, fmt.Errorf("count calls to Clerk: %w", err)
	}
	return calls, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// leaseParams returns the parameters of the statement, in its order.
func leaseParams(d clerksync.CallDemand) []any {
	ages, sent := make([]float64, len(d.Sent)), make([]int64, len(d.Sent))
	for i, s := range d.Sent {
		ages[i], sent[i] = s.Age, s.Calls
	}
	purposes, pauses := []int32{}, []float64{}
	for purpose, s := range d.Paused {
		if s > 0 {
			purposes, pauses = append(purposes, int32(purpose)), append(pauses, s)
		}
	}
	return []any{
		d.Client, d.Turn, d.Window, d.Lasts, d.Held,
		int32(d.Purpose), d.Least, d.Want, d.Most, //nolint:gosec // below ten
		d.Background.PerSecond, d.Background.Burst, d.Strangers.PerSecond, d.Strangers.Burst, d.Charged.PerSecond, d.Charged.Burst,
		purposes, pauses, ages, sent,
	}
}

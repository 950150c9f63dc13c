// Package doctor looks at everything that `rolecall serve` would meet: settings, Postgres, Clerk,
// addresses, the mirror.
//
// It guarantees that it changes nothing but the count of calls to Clerk, waits for no answer longer
// than a few seconds, and says for each fault what to do.
package doctor

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/clerkapi"
	clerksync "github.com/callmine/rolecall/sync"
)

// examinationTimeout bounds each check of a server that may not answer.
const examinationTimeout = 5 * time.Second

// Examine checks everything that a serve with this configuration depends on. It changes nothing.
// The warnings and faults are those of reading the configuration.
func Examine(ctx context.Context, cfg config.Config, which config.Parts, warnings []string, faults error) Examination {
	d := &doctor{cfg: cfg, which: which, examined: make(chan struct{})}
	defer d.close()
	return examinationOf(append(settingsFindings(warnings, faults), d.look(ctx)...))
}

// doctor runs the checks. It runs independent ones at once.
type doctor struct {
	cfg   config.Config
	which config.Parts

	db       *pgxpool.Pool    // nil until the database was reached
	examined chan struct{}    // closed once db doesn't change any more
	clerk    *clerkapi.Client // nil without a secret key
}

func (d *doctor) close() {
	if d.clerk != nil {
		d.clerk.Close()
	}
	if d.db != nil {
		d.db.Close()
	}
}

// look runs all checks and returns their findings, the most fundamental first.
func (d *doctor) look(ctx context.Context) []Finding {
	d.clerk, _ = d.openClerk() // the findings about settings say why there is none
	groups := []func(context.Context) []Finding{
		func(ctx context.Context) []Finding { defer close(d.examined); return d.database(ctx) }, d.otherDatabases, d.replicas, d.keys, d.clerkLists, d.addresses,
	}
	found := make([][]Finding, len(groups))
	var looking sync.WaitGroup
	for i, look := range groups {
		looking.Go(func() { found[i] = look(ctx) })
	}
	looking.Wait()
	return append(slices.Concat(found...), d.mirror(ctx)...)
}

// timed bounds one check.
func timed(ctx context.Context, look func(context.Context) []Finding) []Finding {
	ctx, cancel := context.WithTimeout(ctx, examinationTimeout)
	defer cancel()
	return look(ctx)
}

func (d *doctor) openClerk() (*clerkapi.Client, error) {
	if d.cfg.SecretKey == "" {
		return nil, errors.New("there is no secret key")
	}
	return d.cfg.OpenClerk(d.leaseCalls, slog.New(slog.DiscardHandler), nil, nil)
}

// leaseCalls lets the processes of the mirror count doctor's calls to Clerk, which are a few. If
// the database can't be written to, they are made all the same: doctor is run when something is
// wrong.
func (d *doctor) leaseCalls(ctx context.Context, demand clerksync.CallDemand) (clerksync.CallLease, error) {
	alone := clerksync.CallLease{Granted: demand.Want}
	select {
	case <-d.examined:
	case <-ctx.Done():
		return alone, nil
	}
	if d.db == nil {
		return alone, nil
	}
	lease, err := database.LeaseCalls(d.db)(ctx, demand)
	if err != nil {
		return alone, nil //nolint:nilerr // other checks tell what is wrong with the database
	}
	return lease, nil
}

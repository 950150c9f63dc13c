package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/callmine/rolecall/internal/replica"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// The parameters by which a request demands freshness. Every route about a workspace takes them,
// except the one that appends to the audit log.
const (
	paramMinRevision  = "min_revision"
	paramMaxStaleness = "max_staleness"
)

const (
	// defaultRevisionWait is how long a request waits for min_revision. A webhook is in the mirror
	// within milliseconds of being acknowledged. If it takes longer, it is stuck, and the caller
	// gets a 409.
	defaultRevisionWait = time.Second

	// The mirror is read again after firstPoll, then at growing intervals of up to lastPoll. A
	// revision that never comes costs about twenty reads.
	firstPoll = 10 * time.Millisecond
	lastPoll  = 60 * time.Millisecond

	// maxStalenessLimit bounds max_staleness, in seconds. It is a year: a larger value would demand
	// nothing.
	maxStalenessLimit = 366 * 24 * 60 * 60
)

// freshnessOf reads from a request's query how fresh the mirror must be. It refuses other
// parameters in a command's query. Those of a read are for its handler.
func freshnessOf(r *http.Request) (clerksync.Freshness, error) {
	if !isRead(r) {
		if _, err := queryOf(r); err != nil {
			return clerksync.Freshness{}, err
		}
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return clerksync.Freshness{}, errQueryMalformed
	}
	q := query{}
	for _, name := range []string{paramMinRevision, paramMaxStaleness} {
		switch given := values[name]; {
		case len(given) > 1:
			return clerksync.Freshness{}, badFreshness(name)
		case len(given) == 1:
			q[name] = given[0]
		}
	}
	return q.freshness()
}

// freshness returns what a query demands.
func (q query) freshness() (clerksync.Freshness, error) {
	minRevision, err := q.number(paramMinRevision)
	if err != nil {
		return clerksync.Freshness{}, err
	}
	maxStaleness, err := q.number(paramMaxStaleness)
	if err != nil {
		return clerksync.Freshness{}, err
	}
	return demandOf(minRevision, maxStaleness)
}

// number returns a number of freshness, nil if it isn't given.
func (q query) number(name string) (*int64, error) {
	text, given := q[name]
	if !given {
		return nil, nil //nolint:nilnil // see above
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, badFreshness(name)
	}
	return &number, nil
}

// demandOf returns the demand of two numbers, each nil if it wasn't given.
func demandOf(minRevision, maxStaleness *int64) (clerksync.Freshness, error) {
	var demand clerksync.Freshness
	if minRevision != nil {
		if *minRevision < 0 {
			return demand, badFreshness(paramMinRevision)
		}
		demand.MinRevision = *minRevision
	}
	if maxStaleness != nil {
		if *maxStaleness < 1 || *maxStaleness > maxStalenessLimit {
			return demand, badFreshness(paramMaxStaleness)
		}
		demand.MaxStaleness = time.Duration(*maxStaleness) * time.Second
	}
	return demand, nil
}

func badFreshness(name string) *problem {
	if name == paramMinRevision {
		return badRequest("min_revision must be given once, as a whole number that isn't negative.")
	}
	return badRequest("max_staleness must be given once, as a whole number of seconds from 1 to " + strconv.Itoa(maxStalenessLimit) + ".")
}

// awaitRevision returns the standings of the pairs once all of their organizations have reached a
// revision. After Config.RevisionWait it returns them as they are.
func (s *server) awaitRevision(ctx context.Context, revision int64, standings []clerksync.Standing, pairs ...store.Pair) ([]clerksync.Standing, error) {
	return s.await(ctx, standings, func(int) int64 { return revision }, pairs...)
}

// await waits as awaitRevision does, for the revision that each pair demands.
func (s *server) await(ctx context.Context, standings []clerksync.Standing, demanded func(pair int) int64, pairs ...store.Pair) ([]clerksync.Standing, error) {
	if !behind(standings, demanded) {
		return standings, nil
	}
	deadline := time.NewTimer(s.cfg.RevisionWait)
	defer deadline.Stop()
	if from := replica.Of(ctx); from.Replica() != nil { // the primary may be there already
		from.Restart(replica.OutcomeNotThere)
		var err error
		if standings, err = s.standings(ctx, pairs...); err != nil {
			return nil, err
		}
	}
	for pause := firstPoll; behind(standings, demanded); pause = min(pause*3/2, lastPoll) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline.C:
			return standings, nil
		case <-time.After(pause):
		}
		var err error
		if standings, err = s.standings(ctx, pairs...); err != nil {
			return nil, err
		}
	}
	return standings, nil
}

func behind(standings []clerksync.Standing, demanded func(pair int) int64) bool {
	for i, standing := range standings {
		waits := standing.Member || standing.UserID == "" // a stranger doesn't; a service's own read is about no user
		if waits && standing.Revision < demanded(i) {
			return true
		}
	}
	return false
}

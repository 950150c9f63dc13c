package api

import (
	"context"
	"time"

	"github.com/callmine/rolecall/internal/rounds"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// readersAtOnce is how many queries of decisions may be under way at once: two keep Postgres
	// busy while the next one gathers. In a trial, more were slower.
	readersAtOnce = 2
	// worthAQuery is how many pairs a second query must have. With 12 or 8, each answer of 16 or 64
	// callers took more processor time.
	worthAQuery = 24
	// queryPatience is after which time a query counts as stuck, and another one begins.
	queryPatience = 5 * time.Millisecond
	// pairsAtOnce is how many pairs a query takes before it takes no further request. Together with
	// the largest request, it takes some milliseconds.
	pairsAtOnce = 128
	// pairsWaiting is some hundred milliseconds of work for Postgres. If more wait, the database
	// can't keep up, and the callers are told at once.
	pairsWaiting = 8192
)

// newReader returns the one reader of all decisions on the primary. Requests that come while a
// query is under way share the next one.
func newReader(standings *store.StandingReader) *rounds.Rounds[store.Pair, clerksync.Standing] {
	return newRounds(standings.Read)
}

func newRounds[A any](ask func(context.Context, []store.Pair) ([]A, error)) *rounds.Rounds[store.Pair, A] {
	return rounds.New(rounds.Config[store.Pair, A]{
		Ask:     ask,
		Refused: store.Refused, AtOnce: readersAtOnce, Worth: worthAQuery, Patience: queryPatience, Batch: pairsAtOnce, Waiting: pairsWaiting,
	})
}

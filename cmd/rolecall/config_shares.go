package main

import "github.com/callmine/rolecall/internal/pgpool"

// Sizes of the pools, those of the sides that a process runs together the default of ROLECALL_MAX_CONNECTIONS. Accepting, working and reading have one each, so that a
// flood of one starves no other.
const (
	acceptConns = 4
	workers     = 8
	workConns   = workers + 14 // and revocations, what is held up, taking over, upkeep, a sweep, refreshing on miss
	queueConns  = 6            // River's fetching and upkeep, and its listener, which leaves the pool
	readConns   = 16
	eventConns  = 4 // services' entries of the audit log
	changeConns = 4 // commands
	adminConns  = 2 // so that a busy API turns nothing red; also what notices a failover

	// workLeast is enough for a worker, a sweep and two jobs that wait for something, and leaves one to what takes access away.
	workLeast = 5

	// spareConns are left to others where the role's own limit is what binds: for rolecall status, and psql.
	spareConns = 2
	// poolerConns is what a process opens through a pooler for sessions, unless it is told: pgbouncer has 20 servers for each
	// role and database, unless that is told otherwise.
	poolerConns = 18
	// commandConns is what a subcommand opens at most: one to work on, and one that holds the lock of a sweep.
	commandConns = 2
)

// shares are how the pools divide the connections of a process.
func shares(which parts) []pgpool.Share {
	all := []pgpool.Share{{Name: "admin", Least: 1, Usual: adminConns}, {Name: "work", Least: workLeast, Usual: workConns}}
	if which.workers {
		all = append(all, pgpool.Share{Name: "queue", Least: 2, Usual: queueConns})
	}
	if which.web {
		all = append(all, pgpool.Share{Name: "accept", Least: 1, Usual: acceptConns}, pgpool.Share{Name: "read", Least: 1, Usual: readConns},
			pgpool.Share{Name: "events", Least: 1, Usual: eventConns}, pgpool.Share{Name: "changes", Least: 1, Usual: changeConns})
	}
	return all
}

// usualOf is how many connections the sides of a process have by default.
func usualOf(which parts) (n int) {
	for _, s := range shares(which) {
		n += s.Usual
	}
	return n
}

// workersFor is how many jobs run at once that take no access away. More connections make no more of them: in a trial, 18 workers took
// half as long again as 8 until a removal behind a backlog was enforced, as they wait for each other's locks.
func workersFor(sizes map[string]int) int {
	return min(workers, max(1, workers*sizes["work"]/workConns))
}

// extraPool gets what is above the usual sizes.
func extraPool(which parts) string {
	if which.web {
		return "read"
	}
	return "work"
}

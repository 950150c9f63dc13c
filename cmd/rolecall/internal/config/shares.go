package config

import "github.com/callmine/rolecall/internal/pgpool"

// Sizes of the pools, those of the sides that a process runs together the default of
// ROLECALL_MAX_CONNECTIONS. Accepting, working and reading have one each, so that a flood of one
// starves no other.
const (
	acceptConns = 4
	Workers     = 8
	WorkConns   = Workers + 14 // and revocations, what is held up, taking over, upkeep, a sweep, refreshing on miss
	queueConns  = 6            // River's fetching and upkeep, and its listener, which leaves the pool
	readConns   = 16
	EventConns  = 4 // services' entries of the audit log
	changeConns = 4 // commands
	adminConns  = 2 // so that a busy API turns nothing red; also what notices a failover

	// workLeast is enough for a worker, a sweep and two jobs that wait for something, and leaves
	// one to what takes access away.
	workLeast = 5

	// SpareConns are left to others where the role's own limit is what binds: for rolecall status,
	// and psql.
	SpareConns = 2
	// PoolerConns is what a process opens through a pooler for sessions, unless it is told:
	// pgbouncer has 20 servers for each role and database, unless that is told otherwise.
	PoolerConns = 18
)

// Shares are how the pools divide the connections of a process.
func Shares(which Parts) []pgpool.Share {
	all := []pgpool.Share{{Name: "admin", Least: 1, Usual: adminConns}, {Name: "work", Least: workLeast, Usual: WorkConns}}
	if which.Workers {
		all = append(all, pgpool.Share{Name: "queue", Least: 2, Usual: queueConns})
	}
	if which.Web {
		all = append(all, pgpool.Share{Name: "accept", Least: 1, Usual: acceptConns}, pgpool.Share{Name: "read", Least: 1, Usual: readConns},
			pgpool.Share{Name: "events", Least: 1, Usual: EventConns}, pgpool.Share{Name: "changes", Least: 1, Usual: changeConns})
	}
	return all
}

// UsualOf is how many connections the sides of a process have by default.
func UsualOf(which Parts) (n int) {
	for _, s := range Shares(which) {
		n += s.Usual
	}
	return n
}

// WorkersFor is how many jobs run at once that take no access away. More connections make no more
// of them: in a trial, 18 workers took half as long again as 8 until a removal behind a backlog was
// enforced, as they wait for each other's locks.
func WorkersFor(sizes map[string]int) int {
	return min(Workers, max(1, Workers*sizes["work"]/WorkConns))
}

// ExtraPool gets what is above the usual sizes.
func ExtraPool(which Parts) string {
	if which.Web {
		return "read"
	}
	return "work"
}

package config

import "github.com/callmine/rolecall/internal/pgpool"

// Sizes of the pools. Their sum, over the sides that a process runs, is the default of
// ROLECALL_MAX_CONNECTIONS. Accepting, working, deciding and reading have a pool each, so that a
// flood of one can't starve another.
const (
	acceptConns = 4
	WorkConns   = 22 // new deliveries, revocations, held-up deliveries, taking over, upkeep, a sweep, look-ups
	queueConns  = 6  // for River's fetching and upkeep; its listener takes one out of the pool
	// decideConns are few, because requests that wait share the next query. With the least
	// connections there are none: decisions are then read with the rest.
	decideConns  = 2
	readConns    = 14 // lists, exports, and what else isn't a decision
	EventConns   = 4  // services' entries of the audit log
	changeConns  = 4  // commands
	consoleConns = 2  // pages of the console that read at a time; with the least connections they share those of the workers
	// pulseConns write the pulses that replicas must show. Nothing else may delay them.
	pulseConns = 1
	adminConns = 2 // so that a busy API can't turn /readyz red; also to notice a failover

	// workLeast is enough for a round of deliveries, a sweep, two waiting jobs, and a revocation.
	workLeast = 5

	// ReplicaConns is how many connections a process opens to each replica to read, and one more to
	// look how far it is. They are the replica's own, and don't count as connections to the primary.
	ReplicaConns = 12

	// SpareConns is the number of connections that are left to others, such as `rolecall status`
	// and psql, if Postgres allows fewer than wanted.
	SpareConns = 2
	// PoolerConns is the default of ROLECALL_MAX_CONNECTIONS behind a session pooler: by default,
	// pgbouncer has 20 servers for each role and database.
	PoolerConns = 18
)

// Shares returns each pool's share of a process' connections.
func Shares(which Parts) []pgpool.Share {
	all := []pgpool.Share{
		{Name: "admin", Least: 1, Usual: adminConns}, {Name: "work", Least: workLeast, Usual: WorkConns}, {Name: "console", Usual: consoleConns},
	}
	if which.Workers {
		all = append(all, pgpool.Share{Name: "queue", Least: 2, Usual: queueConns})
	}
	if which.Web {
		all = append(all, pgpool.Share{Name: "accept", Least: 1, Usual: acceptConns}, pgpool.Share{Name: "decide", Usual: decideConns},
			pgpool.Share{Name: "read", Least: 1, Usual: readConns}, pgpool.Share{Name: "events", Least: 1, Usual: EventConns}, pgpool.Share{Name: "changes", Least: 1, Usual: changeConns})
	}
	return all
}

// Shares returns each pool's share of the connections of a process with this configuration.
func (c Config) Shares(which Parts) []pgpool.Share {
	all := Shares(which)
	if c.UsesReplicas(which) {
		all = append(all, pgpool.Share{Name: "pulses", Least: pulseConns, Usual: pulseConns})
	}
	return all
}

// Usual returns the default number of connections of a process with this configuration.
func (c Config) Usual(which Parts) (n int) {
	for _, s := range c.Shares(which) {
		n += s.Usual
	}
	return n
}

// UsualOf returns the default number of connections of a process.
func UsualOf(which Parts) (n int) {
	for _, s := range Shares(which) {
		n += s.Usual
	}
	return n
}

// ExtraPool names the pool that gets the connections above the usual sizes.
func ExtraPool(which Parts) string {
	if which.Web {
		return "read"
	}
	return "work"
}

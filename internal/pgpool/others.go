package pgpool

import (
	"context"
	"net"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// LookAtOthers opens a session with each host of a URL that didn't lead last, and ends it. If one
// of them is a primary of a newer timeline, the lineage learns of it. Without that, a promotion
// beside an old primary that goes on would never be found: that one is asked first, and answers. A
// host that is away or a standby is no news. A URL with one host has no others.
func LookAtOthers(ctx context.Context, c Config) {
	cfg, err := pgconn.ParseConfig(c.URL)
	if err != nil {
		return // no pool was opened with it
	}
	takeParameters(cfg.RuntimeParams) // they are for the sessions of pools
	cfg.RuntimeParams["application_name"] = c.Name
	cfg.ValidateConnect = nil // of target_session_attrs: any primary counts
	var looking sync.WaitGroup
	for _, other := range c.Lineage.others(cfg) {
		looking.Go(func() { c.Lineage.lookAt(ctx, other) })
	}
	looking.Wait()
}

// lookAt lets the lineage learn of a host if it is a primary of a newer timeline. A host never
// changes the cluster by that, and a role that can't see the timeline learns nothing.
func (l *Lineage) lookAt(ctx context.Context, host *pgconn.Config) {
	conn, err := pgconn.ConnectConfig(ctx, host)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close(ctx) }() // it has nothing to lose
	now, _, err := lookAsTold(ctx, conn, "", tellsAll)
	known := l.Known()
	if err != nil || now.judgeServer(Needs{Write: true}) != nil || known.Timeline == 0 || now.identity.Timeline <= known.Timeline {
		return
	}
	if _, err := l.observe(nil, now, l.floor(), false); err != nil {
		return
	}
	l.mu.Lock()
	l.led = conn.Conn().RemoteAddr().String()
	l.mu.Unlock()
}

// others lists the hosts of a configuration, but for the one that led last, each with and without
// TLS as the configuration has it.
func (l *Lineage) others(cfg *pgconn.Config) (others []*pgconn.Config) {
	all := append([]*pgconn.FallbackConfig{{Host: cfg.Host, Port: cfg.Port, TLSConfig: cfg.TLSConfig}}, cfg.Fallbacks...)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, host := range hostsOf(cfg) {
		var ways []*pgconn.FallbackConfig
		for _, f := range all {
			if net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))) == host && !l.leads(f) {
				ways = append(ways, f)
			}
		}
		if len(ways) > 0 {
			other := cfg.Copy()
			other.Host, other.Port, other.TLSConfig, other.Fallbacks = ways[0].Host, ways[0].Port, ways[0].TLSConfig, ways[1:]
			others = append(others, other)
		}
	}
	return others
}

package pgpool

import (
	"context"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Several hosts: pgx tries them in the order of the URL, and waits for each until its time-out. So
// a primary that hangs, named first, would delay each session long after another host was promoted.
// The host that led last comes first instead, for all pools that share a lineage.

// connectTimeoutEach bounds opening a session with each of several hosts, if the URL sets no
// time-out: another one may have taken over.
const connectTimeoutEach = 2 * time.Second

// Hosts lists the hosts that a URL names, each with its port.
func Hosts(url string) ([]string, error) {
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	return hostsOf(cfg), nil
}

// hostsOf lists the hosts of a configuration. One that is tried with and without TLS counts once.
func hostsOf(cfg *pgconn.Config) []string {
	hosts := []string{net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))}
	for _, f := range cfg.Fallbacks {
		if host := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))); !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// boundConnect bounds opening a session with each host, where the URL doesn't, and with all of them
// together if within isn't 0.
func boundConnect(cfg *pgconn.Config, within time.Duration) {
	hosts := len(hostsOf(cfg))
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
		if hosts > 1 {
			cfg.ConnectTimeout = connectTimeoutEach
		}
	}
	if within > 0 {
		cfg.ConnectTimeout = min(cfg.ConnectTimeout, within/time.Duration(hosts))
	}
}

// rememberAddresses makes the lineage know which addresses each host has.
func (l *Lineage) rememberAddresses(cfg *pgconn.Config) {
	if len(hostsOf(cfg)) == 1 {
		return
	}
	lookUp := cfg.LookupFunc
	cfg.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		addresses, err := lookUp(ctx, host)
		if err == nil {
			l.mu.Lock()
			l.addresses[host] = addresses
			l.mu.Unlock()
		}
		return addresses, err
	}
}

// leadingFirst makes a connection try the host first that led last.
func (l *Lineage) leadingFirst(cfg *pgconn.Config) {
	if len(cfg.Fallbacks) == 0 {
		return
	}
	all := append([]*pgconn.FallbackConfig{{Host: cfg.Host, Port: cfg.Port, TLSConfig: cfg.TLSConfig}}, cfg.Fallbacks...)
	l.mu.Lock()
	leading := func(f *pgconn.FallbackConfig) int {
		if l.leads(f) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(all, func(a, b *pgconn.FallbackConfig) int { return leading(a) - leading(b) })
	l.mu.Unlock()
	cfg.Host, cfg.Port, cfg.TLSConfig, cfg.Fallbacks = all[0].Host, all[0].Port, all[0].TLSConfig, all[1:]
}

// leads reports whether a host is the one that led last. It is called under the lineage's lock.
func (l *Lineage) leads(f *pgconn.FallbackConfig) bool {
	if network, address := pgconn.NetworkAddress(f.Host, f.Port); network == "unix" {
		return address == l.led
	}
	return slices.ContainsFunc(l.addresses[f.Host], func(ip string) bool {
		return net.JoinHostPort(ip, strconv.Itoa(int(f.Port))) == l.led
	})
}

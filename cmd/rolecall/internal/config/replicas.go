package config

import (
	"errors"
	"slices"
	"time"

	"github.com/callmine/rolecall/internal/pgpool"
)

const (
	replicaURLs   = "ROLECALL_REPLICA_DATABASE_URLS"
	replicaMaxLag = "ROLECALL_REPLICA_MAX_LAG"
	// shortestMaxLag is some round trips to a server nearby, five of which must fit.
	shortestMaxLag = 50 * time.Millisecond
	// longestMaxLag is as long as anybody would let a removed member in.
	longestMaxLag = 10 * time.Second
)

// ReplicaSetting names the setting of the replicas, for errors.
func ReplicaSetting() string { return replicaURLs }

// UsesReplicas reports whether a process reads from replicas.
func (c Config) UsesReplicas(which Parts) bool { return which.Web && len(c.ReplicaURLs) > 0 }

// ReplicaName is the host and port of a replica's URL, without secrets. It returns "" for a URL
// that can't be read.
func ReplicaName(replicaURL string) string {
	hosts, err := pgpool.Hosts(replicaURL)
	if err != nil {
		return ""
	}
	return hosts[0]
}

// checkReplicas finds replicas that can't be told apart from each other or from the primary.
func (c Config) checkReplicas() error {
	if len(c.ReplicaURLs) == 0 {
		return nil
	}
	var errs []error
	if c.ReplicaMaxLag < shortestMaxLag || c.ReplicaMaxLag > longestMaxLag {
		errs = append(errs, wrong(replicaMaxLag, "%s is not from 50ms to 10s: write 250ms for the default", c.ReplicaMaxLag))
	}
	var names []string
	for _, url := range c.ReplicaURLs {
		if err := CheckDatabaseURL(replicaURLs, url); err != nil {
			errs = append(errs, err)
			continue
		}
		hosts, _ := pgpool.Hosts(url) // it can be read, as the check found
		name := ReplicaName(url)
		switch {
		case len(hosts) > 1:
			errs = append(errs, wrong(replicaURLs, "a URL names several hosts: write one URL for each replica, separated by commas"))
		case slices.Contains(names, name):
			errs = append(errs, wrong(replicaURLs, "it names %s twice: write each replica once", name))
		case slices.Contains([]string{c.DatabaseURL, c.DirectDatabaseURL, c.ReadDatabaseURL}, url):
			errs = append(errs, wrong(replicaURLs, "%s is the primary: leave it out, since it answers whatever no replica can", name))
		}
		names = append(names, name)
	}
	return errors.Join(errs...)
}

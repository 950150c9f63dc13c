package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCheckReplicas(t *testing.T) {
	t.Parallel()
	const one, other = "postgres://app:secret@db-1:5432/rolecall", "postgres://app:secret@db-2:5432/rolecall"
	for name, c := range map[string]struct {
		urls  []string
		lag   time.Duration
		fault string
	}{
		"none":          {nil, 0, ""},
		"two":           {[]string{one, other}, 250 * time.Millisecond, ""},
		"twice":         {[]string{one, one + "?application_name=x"}, time.Second, "names db-1:5432 twice"},
		"primary":       {[]string{"postgres://app:secret@primary/rolecall"}, time.Second, "primary:5432 is the primary"},
		"several hosts": {[]string{"host=db-1,db-2 dbname=rolecall"}, time.Second, "several hosts"},
		"no URL":        {[]string{"db-1"}, time.Second, "is not a Postgres URL"},
		"empty":         {[]string{one, ""}, time.Second, "is not a Postgres URL"},
		"too short":     {[]string{one}, time.Millisecond, "1ms is not from 50ms to 10s"},
		"too long":      {[]string{one}, time.Minute, "1m0s is not from 50ms to 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Config{DatabaseURL: "postgres://app:secret@primary/rolecall", ReplicaURLs: c.urls, ReplicaMaxLag: c.lag}.checkReplicas()
			if c.fault == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.fault)
			require.ErrorContains(t, err, "ROLECALL_REPLICA_")
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

// TestReplicas_URLsAreRedacted, each for itself.
func TestReplicas_URLsAreRedacted(t *testing.T) {
	t.Parallel()
	c := Config{ReplicaURLs: []string{"postgres://app:secret@db-1/rolecall", "host=db-2 password=secret"}}
	for _, s := range c.Settings() {
		if s.Name == ReplicaSetting() {
			require.Equal(t, "postgres://app:xxxxx@db-1/rolecall,"+redacted, s.Value)
			require.Equal(t, "ROLECALL_REPLICA_DATABASE_URLS_FILE", s.FileVariable())
		}
	}
}

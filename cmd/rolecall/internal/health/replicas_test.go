package health

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAlarms_OfReplicas: a replica that hasn't answered for a minute is an alarm, and a failover or
// a restart of it isn't.
func TestAlarms_OfReplicas(t *testing.T) {
	t.Parallel()
	own := func(replicas ...Replica) Situation { return Situation{Own: Own{Replicas: replicas}} }
	require.Empty(t, own().ownAlarms())
	require.Empty(t, own(Replica{Name: "a:5432", State: "answered"}, Replica{Name: "b:5432", State: "behind", Away: 59 * time.Second}).ownAlarms())
	alarms := own(
		Replica{Name: "a:5432", State: "answered"},
		Replica{Name: "b:5432", State: "unreachable", Cause: "connection refused", Away: time.Minute},
		Replica{Name: "c:5432", State: "not_in_recovery", Away: time.Hour},
	).ownAlarms()
	require.Len(t, alarms, 1)
	require.Equal(t, AlarmReplicas, alarms[0].Name)
	require.Contains(t, alarms[0].Detail, "replicas don't answer: b:5432 couldn't answer for 1m0s: unreachable (connection refused); c:5432")
	require.Contains(t, alarms[0].Advice, "c:5432: it was promoted")
	require.NotContains(t, alarms[0].Detail, "a:5432")
}

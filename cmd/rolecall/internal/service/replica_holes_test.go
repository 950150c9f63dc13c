package service_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// TestReplicas_NetworksThatSwallow: networks that swallow packets, and close nothing. A replica
// that doesn't answer costs a caller its bound at most, one that receives nothing answers nothing,
// and without the primary, reads are refused within a second.
func TestReplicas_NetworksThatSwallow(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	r := startReplicated(t, 2)
	workspace, admin, member, messages := servicetest.Team(t, r.Bundle)
	r.Send(t, messages...)
	admins, token := r.Token(t, admin), r.Token(t, member)
	paths := []string{"/v1/authorize?permission=reports:read&workspace_id=" + workspace, "/v1/me", "/v1/workspaces/" + workspace + "/members"}
	r.answering(t, admins, workspace)

	// within requires an answer that comes within a second, and what the machine adds.
	within := func(want int, path string) map[string]any {
		t.Helper()
		asked := time.Now()
		status, body := r.Get(t, r.Web(path), admins)
		took := time.Since(asked)
		require.Equal(t, want, status, "%s after %s", path, took)
		require.Less(t, took, 1500*time.Millisecond, path)
		return body
	}

	r.ways[0].Hang()
	others := r.answers(t, r.ways[1].Addr())
	for hung := time.Now(); time.Since(hung) < 3*time.Second || r.answers(t, r.ways[1].Addr()) == others; {
		for _, path := range paths {
			within(http.StatusOK, path)
		}
	}
	r.ways[0].Wake()
	r.answering(t, admins, workspace)

	for _, stream := range r.streams {
		stream.Hang()
	}
	require.Equal(t, http.StatusOK, r.May(t, token, workspace, "reports:read"))
	require.NoError(t, r.Clerk.RemoveMember(workspace, member))
	r.Send(t, r.Clerk.Drain()...)
	r.Applied(t)
	for removed := time.Now(); time.Since(removed) < 4*replicaMaxLag; {
		asked := time.Now()
		if r.May(t, token, workspace, "reports:read") == http.StatusOK {
			require.Less(t, asked.Sub(removed), replicaMaxLag)
		}
	}
	for _, stream := range r.streams {
		stream.Wake()
	}
	certain := r.answering(t, admins, workspace).Add(-replicaMaxLag)

	for _, mend := range []func(){r.way.Wake, func() { r.way.Turn(r.primary.Addr()) }} { // then, what hangs goes on hanging
		r.way.Hang()
		hung := time.Now()
		for _, path := range paths {
			require.Eventually(t, func() bool {
				asked := time.Now()
				status, _ := r.Get(t, r.Web(path), admins)
				require.Less(t, time.Since(asked), 1500*time.Millisecond, path)
				require.True(t, status == http.StatusServiceUnavailable || status == http.StatusOK && asked.Sub(hung) < 2*time.Second, status)
				return status == http.StatusServiceUnavailable
			}, 10*time.Second, time.Millisecond)
			asOf, err := time.Parse(time.RFC3339Nano, fmt.Sprint(within(http.StatusServiceUnavailable, path)["as_of"]))
			require.NoError(t, err)
			require.WithinRange(t, asOf, certain, hung.Add(replicaMaxLag))
		}
		mend()
		mended := time.Now()
		for _, path := range paths {
			require.Eventually(t, func() bool {
				status, _ := r.Get(t, r.Web(path), admins)
				return status == http.StatusOK
			}, 20*time.Second, time.Millisecond)
			t.Logf("%s was answered %s after the network was mended", path, time.Since(mended))
		}
		require.Less(t, time.Since(mended), findsPrimaryWithin)
		certain = r.answering(t, admins, workspace).Add(-replicaMaxLag)
		t.Logf("replicas answered %s after the network was mended", time.Since(mended))
	}
}

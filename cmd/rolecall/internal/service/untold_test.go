package service_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestServe_WhereTheServerDoesNotTell: at Aurora, nothing tells of the WAL. Everything but noticing
// a failover works, the change feed included.
func TestServe_WhereTheServerDoesNotTell(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	url := c.Migrated("rolecall")
	pgtest.Untold(t, url, "55000")
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, func(_ *servicetest.Bundle, cfg *config.Config) {
		cfg.ServiceTokens += "/scopes=authorize+read"
	})
	b.Open(t, url)
	workspace, _, member, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	b.Applied(t)
	token := b.Token(t, member)
	require.Equal(t, http.StatusOK, b.May(t, token, workspace, "reports:read"))
	require.NoError(t, b.Clerk.RemoveMember(workspace, member))
	b.Send(t, b.Clerk.Drain()...)
	b.Applied(t)
	require.Equal(t, http.StatusNotFound, b.May(t, token, workspace, "reports:read"))
	servicetest.Eventually(t, func() bool {
		_, page := b.Get(t, b.Web("/v1/changes?limit=200"), b.ServiceToken)
		return strings.Contains(fmt.Sprint(page), "member.removed")
	}, "the feed tells of the removal")
	require.Contains(t, b.Log.String(), "this role can't read the timeline")
}

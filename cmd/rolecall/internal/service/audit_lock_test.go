package service_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
)

// TestAudit_LockedChainHoldsUpNoOtherWorkspace: requests that wait for one workspace's chain give
// their connections back in time.
func TestAudit_LockedChainHoldsUpNoOtherWorkspace(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex := h.person("Alex")
	north, south := h.create(alex, "North"), h.create(alex, "South")
	tx, err := h.DB.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), "SELECT FROM rolecall.audit_heads WHERE organization_id = $1 FOR UPDATE", north)
	require.NoError(t, err)
	var waiting sync.WaitGroup
	for range 2 * config.EventConns {
		waiting.Go(func() {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.Web(at(north, "audit")), strings.NewReader(`{"action":"report.run","target":"a"}`))
			if err != nil {
				return
			}
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Authorization", "Bearer "+h.ServiceToken)
			if response, err := h.Client.Do(request); err == nil {
				_ = response.Body.Close()
			}
		})
	}
	require.Eventually(t, func() bool {
		var blocked int
		err := h.DB.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rolecall events' AND wait_event_type = 'Lock'").Scan(&blocked)
		return err == nil && blocked == 1 // the share of a workspace
	}, 4*time.Second, 5*time.Millisecond)
	began := time.Now()
	a := h.ask(h.ServiceToken, http.MethodPost, at(south, "audit"), `{"action":"report.run","target":"b"}`)
	took := time.Since(began)
	require.NoError(t, tx.Rollback(t.Context()))
	waiting.Wait()
	require.Equal(t, http.StatusCreated, a.status, "after %v: %s", took, a.text)
	require.Less(t, took, 4*time.Second, "it waited as long as a request can")
}

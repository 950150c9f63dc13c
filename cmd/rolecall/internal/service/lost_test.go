package service_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestLost_IsNoticedWithoutAnotherServer: what was acknowledged goes away under a running service,
// as where a provider hides a failover, or a backup is put in place. It begins another history, and
// a sweep repairs it.
func TestLost_IsNoticedWithoutAnotherServer(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, sweepsAtCommand)
	b.Open(t, url)
	workspace, _, member, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	swept(t, b.DB)
	token := b.Token(t, member)
	status, entry := b.Say(t, b.ServiceToken, http.MethodPost, "/v1/workspaces/"+workspace+"/audit", `{"action":"report.exported","target":"q3"}`)
	require.Equal(t, http.StatusCreated, status, entry)
	value := func(sql string) (value string) {
		require.NoError(t, b.DB.QueryRow(t.Context(), sql).Scan(&value))
		return value
	}
	history := value("SELECT rolecall.current_history()::text")

	tx, err := b.DB.Begin(t.Context())
	require.NoError(t, err)
	for _, sql := range []string{ // no trigger keeps the log from what a backup does
		"SET LOCAL session_replication_role = replica", "DELETE FROM rolecall.memberships WHERE user_id = '" + member + "'",
		"DELETE FROM rolecall.deliveries", "DELETE FROM rolecall.audit_log WHERE action = 'report.exported'",
	} {
		_, err = tx.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.NoError(t, tx.Commit(t.Context()))
	require.Eventually(t, func() bool { return value("SELECT count(*)::text FROM rolecall.lost_acknowledgements") != "0" }, 10*time.Second, 10*time.Millisecond, "%s", b.Log)
	require.Equal(t, "it lacks what was acknowledged", value("SELECT change FROM rolecall.database_identity"))
	require.NotEqual(t, history, value("SELECT rolecall.current_history()::text"))
	require.Eventually(t, func() bool { return strings.Contains(b.Log.String(), `"entry":{"count":1,`) }, 5*time.Second, 10*time.Millisecond)
	swept(t, b.DB)
	require.Equal(t, http.StatusOK, b.May(t, token, workspace, "reports:read"))
	require.False(t, health.HasAlarm(alarmed(t, b.DB), health.AlarmLost))
	changed := value("SELECT changed_at::text FROM rolecall.database_identity")
	b.Send(t, messages[0])
	require.Equal(t, changed, value("SELECT changed_at::text FROM rolecall.database_identity"), "it is noticed once")
}

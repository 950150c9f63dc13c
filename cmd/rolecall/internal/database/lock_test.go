package database_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestOpen_WaitsForALockBriefly: webhooks would wait behind a sweep that waits for a lock.
func TestOpen_WaitsForALockBriefly(t *testing.T) {
	t.Parallel()
	db, err := database.Open(t.Context(), config.Config{DatabaseURL: pgtest.URL(t)}, "reconcile", database.SweepNeeds())
	require.NoError(t, err)
	t.Cleanup(db.Close)
	var timeout string
	require.NoError(t, db.QueryRow(t.Context(), "SHOW lock_timeout").Scan(&timeout))
	require.Equal(t, "1s", timeout)
}

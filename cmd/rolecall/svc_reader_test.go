package main

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestReadingFromAnotherDatabaseIsRefused: a copy, or a standby, would let people in who were removed.
func TestReadingFromAnotherDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	cfg := serving(t, func(c *config.Config) { c.ReadDatabaseURL = pgtest.URL(t) })
	_, err := service.Start(t.Context(), cfg, config.Parts{Web: true}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "ROLECALL_READ_DATABASE_URL is another database")
	cfg.ReadDatabaseURL = "postgres://u:opensesame@%zz"
	_, err = service.Start(t.Context(), cfg, config.Parts{Web: true}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "ROLECALL_READ_DATABASE_URL is not a Postgres URL")
	require.NotContains(t, err.Error(), "opensesame")
}

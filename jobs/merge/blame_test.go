package merge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
)

func TestBlameFor_JudgesEachFailure(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]merge.Blame{
		"22P02": merge.OfDelivery, "22021": merge.OfDelivery, "23505": merge.OfDelivery, "54000": merge.OfDelivery, "P0001": merge.OfDelivery,
		"40P01": merge.OfCircumstances, "40001": merge.OfCircumstances, "55P03": merge.OfCircumstances, "57014": merge.OfCircumstances,
		"42P01": merge.OfCircumstances, "42501": merge.OfCircumstances, "XX000": merge.OfCircumstances, "": merge.OfCircumstances,
		"57P01": merge.OfDatabase, "53300": merge.OfDatabase, "08006": merge.OfDatabase, "25006": merge.OfDatabase,
	} {
		require.Equal(t, want, merge.BlameFor(fmt.Errorf("apply: %w", &pgconn.PgError{Code: code})), code)
	}
	require.Equal(t, merge.OfDelivery, merge.BlameFor(errors.New("panic")))
	require.Equal(t, merge.OfCircumstances, merge.BlameFor(fmt.Errorf("apply: %w", context.DeadlineExceeded)))
	require.Equal(t, merge.OfCircumstances, merge.BlameFor(fmt.Errorf("apply: %w", store.ErrRaced)))
	require.Equal(t, merge.OfDatabase, merge.BlameFor(fmt.Errorf("apply: %w", io.ErrUnexpectedEOF)))
}

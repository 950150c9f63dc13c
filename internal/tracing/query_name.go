package tracing

import (
	"context"
	"strings"

	"github.com/exaring/otelpgx"
)

// queryName returns the name that sqlc wrote before a statement, or else the statement's first
// word.
func queryName(ctx context.Context, statement string) string {
	if rest, ok := strings.CutPrefix(statement, "-- name: "); ok {
		if name, _, ok := strings.Cut(rest, " "); ok {
			return name
		}
	}
	return otelpgx.SQLOperationName(ctx, statement)
}

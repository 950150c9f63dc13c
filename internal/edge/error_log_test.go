package edge_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/edge"
)

// TestErrorLog_TellsKindsApart: what a caller chooses is in neither the message nor the reason.
func TestErrorLog_TellsKindsApart(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := edge.ErrorLog(slog.New(slog.NewTextHandler(&out, nil)))
	log.Printf("http: URL query contains semicolon in request %d", 7)
	log.Printf("http: panic serving 192.0.2.%d: x", 7)
	log.Printf("x")
	const message = `msg="the HTTP server met an error" reason=`
	require.Equal(t, 3, strings.Count(out.String(), message), out.String())
	require.Contains(t, out.String(), message+`"http: URL query" error="http: URL query contains`)
	require.Contains(t, out.String(), message+`"http: panic serving" error="http: panic serving 192.0.2.7: x"`)
}

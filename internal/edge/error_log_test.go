package edge_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/edge"
	"github.com/callmine/rolecall/internal/testlog"
)

// TestErrorLog_TellsKindsApart: neither the message nor the reason has text that a caller chooses.
func TestErrorLog_TellsKindsApart(t *testing.T) {
	t.Parallel()
	var lines testlog.Lines
	log := edge.ErrorLog(lines.Logger())
	log.Printf("http: URL query contains semicolon in request %d", 7)
	log.Printf("http: panic serving 192.0.2.%d: x", 7)
	log.Printf("x")
	const message = `"msg":"the HTTP server met an error","reason":`
	require.Equal(t, 3, strings.Count(lines.String(), message), lines.String())
	require.Contains(t, lines.String(), message+`"http: URL query","error":"http: URL query contains`)
	require.Contains(t, lines.String(), message+`"http: panic serving","error":"http: panic serving 192.0.2.7: x"`)
}

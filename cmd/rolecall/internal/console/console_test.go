package console_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// TestConsole_ShowsStatus: the console is at the root of the admin listener.
func TestConsole_ShowsStatus(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	status, text := b.Text(t, "/")
	require.Equal(t, http.StatusOK, status, text)
	require.Contains(t, text, "<h1>Status</h1>")
	status, text = b.Text(t, "/nowhere")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, text, "There is nothing here")
}

package demo

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
)

// TestVariables_AreNoWrongSettings of the next dev: the written file may be .env.
func TestVariables_AreNoWrongSettings(t *testing.T) {
	t.Parallel()
	environ := []string{variableURL + "=http://127.0.0.1:8080", variableToken + "=rcs_1", "ROLECALL_LISTEN=:1"}
	require.Len(t, config.OwnStrays(config.Config{}, withoutOwn(environ)), 1)
}

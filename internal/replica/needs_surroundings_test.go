package replica

import (
	"os"
	"testing"
)

// needsSurroundings skips a test except in `make surroundings`, which CI runs. Such a test starts
// servers of its own.
func needsSurroundings(t *testing.T) {
	t.Helper()
	if os.Getenv("ROLECALL_TEST_SURROUNDINGS") == "" {
		t.Skip("it takes long: make surroundings") //nolint:forbidigo // CI runs it in a step of its own
	}
}

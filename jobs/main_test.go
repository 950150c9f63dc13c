package jobs

import (
	"os"
	"testing"

	"github.com/callmine/rolecall/internal/pgtest"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childEnv); url != "" {
		os.Exit(runChild(url))
	}
	os.Exit(pgtest.Main(m))
}

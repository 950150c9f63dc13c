package service_test

import (
	"flag"
	"os"
	"testing"

	"github.com/callmine/rolecall/internal/pgtest"
)

func TestMain(m *testing.M) {
	if size := os.Getenv(populatedClerk); size != "" {
		os.Exit(servePopulated(size))
	}
	if os.Getenv("RAPID_CHECKS") == "" {
		// Not the usual 100: each history goes through the whole program. `make laws` runs more.
		if err := flag.Set("rapid.checks", "20"); err != nil {
			panic(err)
		}
	}
	code := pgtest.Main(m)
	if builtIn != "" {
		_ = os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

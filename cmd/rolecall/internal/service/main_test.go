package service_test

import (
	"os"
	"testing"

	"github.com/callmine/rolecall/internal/pgtest"
)

func TestMain(m *testing.M) {
	if size := os.Getenv(populatedClerk); size != "" {
		os.Exit(servePopulated(size))
	}
	os.Exit(pgtest.Main(m))
}

package main

import (
	"os"
	"testing"

	"github.com/callmine/rolecall/internal/pgtest"
)

func XTestMain(m *testing.M) {
	if size := os.Getenv(populatedClerk); size != "" {
		os.Exit(servePopulated(size))
	}
	os.Exit(pgtest.Main(m))
}

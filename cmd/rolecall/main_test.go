package main

import (
	"os"
	"testing"

	"github.com/callmine/rolecall/internal/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(pgtest.Main(m))
}

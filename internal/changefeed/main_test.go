package changefeed_test

import (
	"os"
	"testing"

	"github.com/callmine/rolecall/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

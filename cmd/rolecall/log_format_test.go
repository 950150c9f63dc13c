package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// TestServe_LogsInTheFormatThatIsSet: JSON by default. The last line says that the process stopped.
func TestServe_LogsInTheFormatThatIsSet(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	for format, last := range map[string]string{"": `"msg":"stopped"}`, "json": `"msg":"stopped"}`, "text": `msg=stopped`} {
		env := servingEnv(t, url)
		env["ROLECALL_STOP_DELAY"] = "0"
		if format != "" {
			env["ROLECALL_LOG_FORMAT"] = format
		}
		p := startProcess(t, env, "serve")
		p.untilReady(t)
		p.signal(t, syscall.SIGTERM)
		require.Equal(t, exitOK, p.exit(t, 30*time.Second))
		lines := strings.Split(strings.TrimSpace(p.log.String()), "\n")
		require.Contains(t, lines[len(lines)-1], last, format)
	}
	env := servingEnv(t, url)
	env["ROLECALL_LOG_FORMAT"] = "xml"
	p := startProcess(t, env, "serve")
	require.Equal(t, exitError, p.exit(t, 30*time.Second))
	require.Contains(t, p.log.String(), `ROLECALL_LOG_FORMAT: "xml" is no format: write json or text`)
}

package demo

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// TestCommands_ShowWhatTheySay, each time that they are pasted as one block.
func TestCommands_ShowWhatTheySay(t *testing.T) {
	t.Parallel()
	shells := []string{"bash", "dash"}
	for _, program := range append(shells, "curl") {
		pgtest.NeedsProgram(t, program)
	}
	d := start(t, anywhere(pgtest.EmptyURL(t)))
	block, err := d.commands()
	require.NoError(t, err)
	var greeting strings.Builder
	require.NoError(t, d.greet(Options{Plain: true}, &greeting))
	require.Contains(t, greeting.String(), block)
	promised, status := regexp.MustCompile(`\d{3}\b`), regexp.MustCompile(`(?m)^ ?(\d{3})( at \d\d:\d\d:\d\d, try \d+)?$`)
	for range 5 {
		for _, shell := range shells {
			pasted := exec.CommandContext(t.Context(), shell)
			pasted.Stdin = strings.NewReader(block)
			out, err := pasted.CombinedOutput()
			require.NoError(t, err, string(out))
			want, got := []string{}, []string{}
			for line := range strings.Lines(string(out)) {
				if _, said, found := strings.Cut(line, ": "); found && strings.HasSuffix(line, ".\n") {
					want = append(want, promised.FindAllString(said, -1)...)
				}
				if m := status.FindStringSubmatch(line); m != nil {
					got = append(got, m[1])
				}
			}
			require.Len(t, want, 10, string(out))
			require.Equal(t, want, got, string(out))
		}
	}
}

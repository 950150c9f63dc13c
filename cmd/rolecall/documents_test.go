package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// TestDocs_GiveTheNumbersOfConnectionsOnce: one document has them, and they match the code.
func TestDocs_GiveTheNumbersOfConnectionsOnce(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(servicetest.InRepository(t, "docs/operate.md"))
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n## Size the connections\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	section = strings.Join(strings.Fields(section), " ")
	most := map[config.Parts]int{{Web: true, Workers: true}: 0, {Workers: true}: 0, {Web: true}: 0}
	least := map[config.Parts]int{}
	for which := range most {
		most[which] = config.UsualOf(which)
		for _, share := range config.Shares(which) {
			least[which] += share.Least
		}
	}
	for _, row := range []string{
		fmt.Sprintf("| `serve` | %d |", most[config.Parts{Web: true, Workers: true}]),
		fmt.Sprintf("| `serve --no-web` | %d |", most[config.Parts{Workers: true}]),
		fmt.Sprintf("| `serve --no-workers` | %d |", most[config.Parts{Web: true}]),
		fmt.Sprintf("| any `serve` behind a session pooler | %d |", config.PoolerConns),
		fmt.Sprintf("The least is %d; %d with `--no-web`, %d with `--no-workers`.",
			least[config.Parts{Web: true, Workers: true}], least[config.Parts{Workers: true}], least[config.Parts{Web: true}]),
	} {
		require.Contains(t, section, row)
	}
	number := regexp.MustCompile(fmt.Sprintf(`\b(%d|%d|%d)\b`, most[config.Parts{Web: true, Workers: true}], most[config.Parts{Workers: true}], most[config.Parts{Web: true}]))
	for _, document := range []string{"README.md", "docs/configuration.md", ".env.example"} {
		text, err := os.ReadFile(servicetest.InRepository(t, document))
		require.NoError(t, err)
		require.NotRegexp(t, number, string(text), document)
	}
}

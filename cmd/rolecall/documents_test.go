package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// inRepository returns the path of a file that is named from the root of the module.
func inRepository(t testing.TB, name string) string {
	t.Helper()
	root, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return filepath.Join(root, filepath.FromSlash(name))
		}
		above := filepath.Dir(root)
		require.NotEqual(t, root, above, "no go.mod above the working directory")
		root = above
	}
}

// TestDocumentsGiveTheNumbersOfConnectionsOnce, and they are the code's.
func TestDocumentsGiveTheNumbersOfConnectionsOnce(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(inRepository(t, "docs/operate.md"))
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n## Size the connections\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	section = strings.Join(strings.Fields(section), " ")
	most := map[parts]int{{web: true, workers: true}: 0, {workers: true}: 0, {web: true}: 0}
	least := map[parts]int{}
	for which := range most {
		most[which] = usualOf(which)
		for _, share := range shares(which) {
			least[which] += share.Least
		}
	}
	for _, row := range []string{
		fmt.Sprintf("| `serve` | %d |", most[parts{web: true, workers: true}]),
		fmt.Sprintf("| `serve --no-web` | %d |", most[parts{workers: true}]),
		fmt.Sprintf("| `serve --no-workers` | %d |", most[parts{web: true}]),
		fmt.Sprintf("| any `serve` behind a session pooler | %d |", poolerConns),
		fmt.Sprintf("The least is %d; %d with `--no-web`, %d with `--no-workers`.",
			least[parts{web: true, workers: true}], least[parts{workers: true}], least[parts{web: true}]),
	} {
		require.Contains(t, section, row)
	}
	number := regexp.MustCompile(fmt.Sprintf(`\b(%d|%d|%d)\b`, most[parts{web: true, workers: true}], most[parts{workers: true}], most[parts{web: true}]))
	for _, document := range []string{"README.md", "docs/configuration.md", ".env.example"} {
		text, err := os.ReadFile(inRepository(t, document))
		require.NoError(t, err)
		require.NotRegexp(t, number, string(text), document)
	}
}

// TestSettingsSayWhatTheyAreNeededFor: a serve without those names each of them, and nothing else.
func TestSettingsSayWhatTheyAreNeededFor(t *testing.T) {
	t.Parallel()
	var empty config
	without := empty.requireServing(parts{web: true, workers: true}).Error() + "\n" + empty.requireClerk().Error()
	for _, s := range orderedSettings() {
		require.Equal(t, s.needed != "", strings.Contains(without, s.name+" is missing"), s.name)
	}
	applying := empty.requireServing(parts{workers: true}).Error()
	for _, s := range orderedSettings() {
		require.Equal(t, s.needed == "everything", strings.Contains(applying, s.name+" is missing"), s.name)
	}
}

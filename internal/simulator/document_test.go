package simulator

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocument_NamesThePathsOfTheControlAPI, and no other, with their parameters.
func TestDocument_NamesThePathsOfTheControlAPI(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/simulator.md")
	require.NoError(t, err)
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `((?:GET|PUT|POST|DELETE) /[^`]*)` \\|([^|]*)\\|").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = row[2]
	}
	routes := new(Simulator).controlRoutes()
	require.Len(t, documented, len(routes))
	for _, route := range routes {
		input, ok := documented[route.method+" "+route.path]
		require.True(t, ok, route.path)
		for _, parameter := range route.parameters {
			require.Contains(t, input, "`"+parameter+"`")
		}
	}
}

// TestDocument_NamesThePeople of the cast, with their names.
func TestDocument_NamesThePeople(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/simulator.md")
	require.NoError(t, err)
	for _, person := range castPeople() {
		require.Contains(t, string(text), "| `"+person.key+"` | "+person.firstName+" "+person.lastName+" | ")
	}
}

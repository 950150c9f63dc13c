package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestParse_RefusesWhatWouldKeepItBusy, before the library parses it.
func TestParse_RefusesWhatWouldKeepItBusy(t *testing.T) {
	t.Parallel()
	const size = 256 << 10
	filled := func(text string) string { return strings.Repeat(text, size/len(text)) }
	var roles strings.Builder
	for i := 0; roles.Len() < size; i++ {
		fmt.Fprintf(&roles, "  org:r%d: [a:b]\n", i)
	}
	const deep, many = "nested deeper than 8 levels", "more than 2000 keys"
	for name, tc := range map[string]struct{ text, want string }{
		"brackets":                 {"roles: " + filled("["), deep},
		"braces":                   {"roles: " + filled("{"), deep},
		"braces with keys":         {"roles: " + filled("{a: "), deep},
		"both":                     {"roles: " + filled("[{a: "), deep},
		"brackets on lines":        {"roles: " + filled("[\n"), deep},
		"dashes":                   {"roles:\n  " + filled("- "), deep},
		"dashes and brackets":      {"roles:\n - - - - - [[[[a]]]]\n", deep},
		"nine brackets":            {"roles: [[[[[[[[[a]]]]]]]]]\n", deep},
		"roles":                    {"roles:\n" + roles.String(), many},
		"one key again and again":  {"roles:\n" + filled("  a: b\n"), many},
		"merge keys":               {filled("<<: a\n"), many},
		"keys without a name":      {filled(": "), many},
		"keys on one line":         {filled("a: "), many},
		"keys that are marked":     {filled("? "), many},
		"tags":                     {"roles: " + filled("!t "), many},
		"documents":                {filled("---\n"), many},
		"ends of documents":        {filled("...\n"), many},
		"directives":               {filled("%a\n"), many},
		"a flow of keys on a line": {"roles: {" + filled("a: [b], ") + "}", many},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("p.yaml", []byte(tc.text))
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "p.yaml:")
			require.Less(t, len(err.Error()), 500)
		})
	}
	_, err := Parse("p.yaml", []byte("roles: "+filled("*a ")))
	require.ErrorContains(t, err, "p.yaml: and ")
	require.Less(t, len(err.Error()), 10_000, "an error isn't as long as the file")
	_, err = Parse("p.yaml", []byte("roles: [[[[[[[[a]]]]]]]]\n"))
	require.NotContains(t, err.Error(), deep, "eight levels are parsed")
	roles.Reset()
	for i := range maxEntries - 1 {
		fmt.Fprintf(&roles, "  org:r%d: [members:manage, members:read, workspace:update, audit:read]\n", i)
	}
	policy, err := Parse("p.yaml", []byte("roles:\n"+roles.String()))
	require.NoError(t, err)
	require.Len(t, policy.Grants, maxEntries-1)
}

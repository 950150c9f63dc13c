package policy

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParse: any text is read or refused. A policy that was read can be written and read again.
func FuzzParse(f *testing.F) {
	f.Add(builtIn)
	f.Add(slices.Concat(builtIn, []byte("authzen:\n  workspace_types: [team, urn:a:b]\n")))
	for _, text := range []string{
		"roles:\n  org:admin: &a [a]\n  org:b: *a\n", "roles: {org:a: [b]}", "? roles\n: !!map {<<: *x}", "a: &b {c: *b}", "---\n...\n", "...", head + theRoutes, "0\n---", "roles: |\n a",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		policy, err := Parse("p.yaml", text)
		if err != nil {
			require.ErrorContains(t, err, "p.yaml:")
			return
		}
		require.NotEmpty(t, policy.Grants)
		written, err := policy.YAML()
		require.NoError(t, err)
		again, err := Parse("p.yaml", written)
		require.NoError(t, err, "%s", written)
		require.Equal(t, policy.Grants, again.Grants)
		require.Len(t, again.Routes, len(policy.Routes))
		require.Equal(t, policy.AuthZEN, again.AuthZEN)
	})
}

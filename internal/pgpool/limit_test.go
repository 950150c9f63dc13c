package pgpool

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestLaw_Split: no connection is lost, and every pool has its least. A higher cap makes no pool
// smaller, except by rounding.
func TestLaw_Split(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shares := []Share{}
		least, usual := 0, 0
		for _, name := range []string{"a", "b", "c", "d"}[:rapid.IntRange(1, 4).Draw(t, "pools")] {
			s := Share{Name: name, Least: rapid.IntRange(0, 3).Draw(t, "least")}
			s.Usual = s.Least + rapid.IntRange(0, 20).Draw(t, "more")
			shares = append(shares, s)
			least, usual = least+s.Least, usual+s.Usual
		}
		limit := rapid.IntRange(0, 120).Draw(t, "limit")
		sizes, err := Split(limit, shares, "a")
		if limit < least {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		sum := 0
		for _, s := range shares {
			sum += sizes[s.Name]
			require.GreaterOrEqual(t, sizes[s.Name], s.Least)
			if s.Name != "a" {
				require.LessOrEqual(t, sizes[s.Name], s.Usual)
			}
			if limit >= usual && s.Name != "a" {
				require.Equal(t, s.Usual, sizes[s.Name])
			}
		}
		require.Equal(t, limit, sum)
	})
}

func TestMaxConnsOf(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]int{
		"postgres://h/d": 0, "postgres://h/d?pool_max_conns=12": 12, "host=h pool_max_conns=7": 7,
	} {
		n, err := MaxConnsOf(given)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	for _, wrong := range []string{"postgres://h/d?pool_max_conns=many", "postgres://h/d?pool_max_conns=0", "postgres://%zz"} {
		_, err := MaxConnsOf(wrong)
		require.Error(t, err)
	}
}

func TestParameters_OptionPairs(t *testing.T) {
	t.Parallel()
	for given, want := range map[string][]setting{
		"-c a=1 --b-c=2 -cd=x\\ y": {{"a", "'1'"}, {"b_c", "'2'"}, {"d", "'x y'"}},
		"-c a=it's":                {{"a", "'it''s'"}},
		"--a=\\\\":                 {{"a", `E'\\'`}},
		"endpoint=ep-quiet":        nil, // a provider's way to name a project
		"project=x -c a=1":         nil,
		"-c":                       nil,
		"":                         nil,
	} {
		pairs, ok := optionPairs(given)
		require.Equal(t, want, pairs, given)
		require.Equal(t, want != nil, ok, given)
	}
}

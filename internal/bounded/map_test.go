package bounded_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/bounded"
)

func TestMap_IsBounded(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{2, 3, 10, 101} {
		m := bounded.NewMap[int, *int](limit)
		for i := range 10 * limit {
			m.Put(i, new(i))
			m.Find(i / 2)
			require.LessOrEqual(t, m.Len(), limit)
		}
		require.Nil(t, m.Find(0))
		require.NotNil(t, m.Find(10*limit-1))
	}
}

func TestMap_KeepsWhatIsInUse(t *testing.T) {
	t.Parallel()
	m := bounded.NewMap[int, *int](10)
	used := new(0)
	m.Put(0, used)
	for i := 1; i < 100; i++ {
		m.Put(i, new(i))
		require.Same(t, used, m.Find(0))
	}
	m.Delete(0)
	require.Nil(t, m.Find(0))
}

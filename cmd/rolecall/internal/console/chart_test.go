package console

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPieces_AreWithinTheChart: also a point without neighbours at either end, as in the first
// minute of a service.
func TestPieces_AreWithinTheChart(t *testing.T) {
	t.Parallel()
	for known := range 4 {
		values := make([]value, 4)
		values[known] = value{7, true}
		all := pieces(values, 7)
		require.Len(t, all, 1)
		var from, to, y, y2 float64
		_, err := fmt.Sscanf(strings.ReplaceAll(all[0], ",", " "), "%g %g %g %g", &from, &y, &to, &y2)
		require.NoError(t, err)
		require.GreaterOrEqual(t, from, 0.0)
		require.LessOrEqual(t, to, float64(chartWidth))
		require.GreaterOrEqual(t, to-from, 3.0, "it can be seen: %s", all[0])
	}
}

package cleanup

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCleanup_RunsAllInReverse(t *testing.T) {
	t.Parallel()
	var order []string
	var c Stack
	for _, name := range []string{"first", "second", "third"} {
		c.Add(name, func(context.Context) error {
			order = append(order, name)
			if name == "second" {
				return errors.New("it is gone")
			}
			return nil
		})
	}
	require.ErrorContains(t, c.Run(t.Context()), "stop second")
	require.Equal(t, []string{"third", "second", "first"}, order)
	require.NoError(t, c.Run(t.Context()), "nothing is left")
}

package playground

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/simulator"
)

// TestPeople_HaveAnOrder that is the same on each page, though many accounts are of one instant.
func TestPeople_HaveAnOrder(t *testing.T) {
	t.Parallel()
	now := time.Now()
	sim, err := simulator.Start(t.Context(), simulator.Config{Seed: 1, World: clerksim.Config{Now: func() time.Time { return now }}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close(context.WithoutCancel(t.Context()))) })
	cast, err := sim.Populate()
	require.NoError(t, err)
	p := &Playground{cfg: Config{Simulator: sim, Cast: cast}}
	for range 20 {
		for i, person := range p.people() {
			require.Equal(t, cast.People[i].Name, person.Name)
		}
	}
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/simulator"
)

// startClerk starts the simulated Clerk, with its cast. The instance's id tells everybody that it
// is simulated.
func startClerk(ctx context.Context, o Options, logger *slog.Logger) (sim *simulator.Simulator, cast simulator.Cast, err error) {
	err = atFreeAddress(ctx, "--simulator", o.Simulator, usualSimulator, func(address string) (err error) {
		sim, err = simulator.Start(ctx, simulator.Config{
			Listen: address, Seed: o.Seed, Logger: logger,
			World: clerksim.Config{InstanceID: fmt.Sprintf("%s%016x", instancePrefix, o.Seed)},
		})
		return err
	})
	if err != nil {
		return nil, cast, err
	}
	if cast, err = sim.Populate(); err != nil {
		return nil, cast, errors.Join(err, sim.Close(ctx))
	}
	return sim, cast, nil
}

package demo

import (
	"context"
	"errors"
	"log/slog"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/svixsim"
)

// startRolecall starts the simulated Clerk and the service, and connects them. The simulated Clerk
// ends first, so that no webhook meets a service that ends.
func (d *Demo) startRolecall(ctx context.Context, o Options, cfg *config.Config, logger *slog.Logger) error {
	secrets, err := newSecrets(o.Seed)
	if err != nil {
		return err
	}
	d.ServiceToken = secrets.serviceToken
	if d.Simulator, d.Cast, err = startClerk(ctx, o, logger); err != nil {
		return err
	}
	secrets.configure(cfg, d.Simulator)
	if d.service, err = startService(ctx, o, *cfg, logger, service.Extras{Web: d.feed.watch}); err != nil {
		return errors.Join(err, d.Simulator.Close(ctx))
	}
	d.cleanup.Add("service", unlessCut(d.service.Stop))
	d.cleanup.Add("simulator", inTime(d.Simulator.Close))
	d.Clerk, d.Rolecall, d.Admin = d.Simulator.URL(), "http://"+d.service.WebAddr, "http://"+d.service.AdminAddr
	return d.Simulator.SendTo(svixsim.Endpoint{URL: d.Rolecall + "/webhooks/clerk", Secrets: cfg.SigningSecrets})
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/playground"
	"github.com/callmine/rolecall/internal/edge"
)

// pageTimeout bounds the reading of a request. Only a browser on this machine sends any.
const pageTimeout = 15 * time.Second

// startPlayground serves the sample product, and what shows how it works.
func (d *Demo) startPlayground(ctx context.Context, o Options, cfg config.Config, logger *slog.Logger) error {
	var err error
	if d.shown, err = newInstruments(ctx, cfg, &d.cleanup, logger); err != nil {
		return err
	}
	pages, err := playground.New(playground.Config{
		Rolecall: d.Rolecall, ServiceToken: d.ServiceToken, Console: d.Admin, Simulator: d.Simulator, Cast: d.Cast, AdminLacks: d.adminLacks,
		Ledger: d.shown.Ledger, Sweep: d.shown.Sweep, Terminal: func(context.Context) (string, error) { return d.commands() }, Logger: logger,
	})
	if err != nil {
		return err
	}
	var listener net.Listener
	if err := atFreeAddress(ctx, "--playground", o.Playground, usualPlayground, func(address string) (err error) {
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		return err
	}); err != nil {
		return fmt.Errorf("start the playground: %w", err)
	}
	d.Playground = "http://" + listener.Addr().String()
	server := &http.Server{Handler: pages, ReadHeaderTimeout: pageTimeout, ReadTimeout: pageTimeout, ErrorLog: edge.ErrorLog(logger)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	d.cleanup.Add("playground", inTime(func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}))
	return nil
}

// refuseOpen keeps the playground on this machine: its people have no passwords.
func (o Options) refuseOpen(ctx context.Context) error {
	if o.Playground == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(o.Playground)
	if err != nil {
		return fmt.Errorf("--playground: %w: write an address such as %s", err, usualPlayground)
	}
	found := []string{net.IPv4zero.String()} // of no host: all addresses of this machine
	if host != "" {
		if found, err = (&net.Resolver{}).LookupHost(ctx, host); err != nil {
			return fmt.Errorf("--playground: %w: write an address such as %s", err, usualPlayground)
		}
	}
	for _, address := range found {
		if ip := net.ParseIP(address); ip == nil || !ip.IsLoopback() {
			return fmt.Errorf("--playground %q is open to other machines, and its people have no passwords: write a loopback address such as %s",
				o.Playground, usualPlayground)
		}
	}
	return nil
}

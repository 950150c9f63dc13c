package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
)

// The usual addresses. The ports are those of serve, and others that hardly anything else uses.
const (
	usualListen     = "127.0.0.1:8080"
	usualAdmin      = "127.0.0.1:9090"
	usualSimulator  = "127.0.0.1:8081"
	usualPlayground = "127.0.0.1:7655" // "roll" on a telephone
)

// anyAddress is a free port of this machine.
const anyAddress = "127.0.0.1:0"

// freeAddress returns the address that a flag asks for, or an error if that is taken. If none is
// asked for, it returns the usual one, or one of any free port if that is taken.
func freeAddress(ctx context.Context, flag, asked, usual string) (string, error) {
	address := cmp.Or(asked, usual)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err == nil {
		_ = listener.Close() // nothing has connected
		return address, nil
	}
	if asked == "" && errors.Is(err, syscall.EADDRINUSE) {
		return anyAddress, nil
	}
	return "", fmt.Errorf("%w: choose another address with %s", err, flag)
}

// refuseTaken fails if an address that a flag asks for is taken, before anything is started.
func (o Options) refuseTaken(ctx context.Context) error {
	for flag, asked := range map[string]string{
		"--listen": o.Listen, "--admin": o.Admin, "--playground": o.Playground, "--simulator": o.Simulator,
	} {
		if _, err := freeAddress(ctx, flag, asked, anyAddress); err != nil {
			return err
		}
	}
	return nil
}

// startAttempts bounds the tries to start something: another process may take an address just after
// it was found to be free.
const startAttempts = 3

// atFreeAddress starts something at an address of [freeAddress]. It chooses again if another
// process takes that meanwhile.
func atFreeAddress(ctx context.Context, flag, asked, usual string, start func(address string) error) error {
	for attempt := 1; ; attempt++ {
		address, err := freeAddress(ctx, flag, asked, usual)
		if err != nil {
			return err
		}
		if err := start(address); !errors.Is(err, syscall.EADDRINUSE) || attempt == startAttempts {
			return err
		}
	}
}

// startService starts the service at the asked addresses, or at the usual ones that are free.
func startService(ctx context.Context, o Options, cfg config.Config, logger *slog.Logger, extras service.Extras) (s *service.Service, err error) {
	cfg.StopDelay, extras.RequestsTimeout = 0, requestsTimeout // Ctrl-C ends it at once
	err = atFreeAddress(ctx, "--listen", o.Listen, usualListen, func(address string) (err error) {
		cfg.ListenAddr = address
		if cfg.AdminAddr, err = freeAddress(ctx, "--admin", o.Admin, usualAdmin); err != nil {
			return err
		}
		s, err = service.StartWith(ctx, cfg, config.Parts{Web: true, Workers: true}, logger, extras)
		return err
	})
	return s, err
}

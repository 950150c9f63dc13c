// Package simulate is `rolecall simulate`: only the simulated Clerk, for the tests of other
// services. The build tag nodev leaves it out.
//
// It guarantees that what it prints first is true: the simulator listens, has its people, and has
// written its file of variables.
package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/simulator"
	"github.com/callmine/rolecall/internal/svixsim"
)

// WorldEmpty and WorldCallmine are the worlds to begin with: nobody, or the cast of the demo.
const (
	WorldEmpty    = "empty"
	WorldCallmine = "callmine"
)

// stopTimeout is how long requests under way may take at the end.
const stopTimeout = 2 * time.Second

// Options are the flags of `rolecall simulate`.
type Options struct {
	Listen          string   // where it listens
	Hosts           []string // names by which others reach it, beside localhost
	Seed            uint64   // from which ids, keys and secrets follow
	World           string   // WorldEmpty or WorldCallmine
	WebhooksTo      []string // URLs of endpoints
	WebhookSecret   string   // "" for one that follows from the seed
	Issuer          string   // "" for an invented one
	AuthorizedParty string   // "" for an invented one
	EnvFile         string   // where the variables are written; "" for nowhere
}

// Run runs a simulated Clerk until ctx ends, and then returns its error. It prints twelve lines at
// most, and later a line on errs for each failed webhook.
func Run(ctx context.Context, o Options, out, errs io.Writer) (err error) {
	cfg := simulator.Config{
		Listen: o.Listen, Hosts: o.Hosts, Seed: o.Seed, WebhookSecret: o.WebhookSecret,
		World:  clerksim.Config{Issuer: o.Issuer, AuthorizedParty: o.AuthorizedParty},
		Logger: slog.New(slog.NewTextHandler(errs, nil)),
	}
	for _, url := range o.WebhooksTo {
		cfg.Endpoints = append(cfg.Endpoints, svixsim.Endpoint{URL: url})
	}
	s, err := simulator.Start(ctx, cfg)
	if taken, ok := errors.AsType[*net.OpError](err); ok && taken.Op == "listen" {
		return fmt.Errorf("%w: choose another address with --listen", taken)
	}
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, s.Close(ctx))
	}()
	cast := simulator.Cast{}
	if o.World == WorldCallmine {
		if cast, err = s.Populate(); err != nil {
			return err
		}
	}
	if o.EnvFile != "" {
		if err := writeVariables(o.EnvFile, s); err != nil {
			return err
		}
	}
	if err := o.greet(s, cast, out); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func writeVariables(path string, s *simulator.Simulator) error {
	variables, err := s.Environment()
	if err != nil {
		return err
	}
	return simulator.WriteEnvironment(path, "simulate: the variables of a simulated Clerk.", variables)
}

func (o Options) greet(s *simulator.Simulator, cast simulator.Cast, out io.Writer) error {
	webhooks := "to nowhere yet: --webhooks-to URL, or POST /simulator/endpoints"
	if len(o.WebhooksTo) > 0 {
		webhooks = "to " + strings.Join(o.WebhooksTo, ", ")
	}
	signedWith := "the secret of --webhook-secret" // which may be a real one, and logs of tests are read by many
	if o.WebhookSecret == "" {
		signedWith = s.WebhookSecret()
	}
	people := "none (--world empty)"
	if len(cast.People) > 0 {
		people = fmt.Sprintf("%d in %d workspaces, the same ones with --seed %d", len(cast.People), len(cast.Workspaces), o.Seed)
	}
	lines := []struct{ name, text string }{
		{"Backend API", s.URL() + "/v1"},
		{"Secret key", s.World().SecretKey()},
		{"Public keys", s.URL() + "/.well-known/jwks.json"},
		{"Issuer", s.World().Issuer()},
		{"Webhooks", webhooks},
		{"Signed with", signedWith},
		{"Control API", s.URL() + "/simulator/state, see docs/simulator.md"},
		{"People", people},
	}
	if o.EnvFile != "" {
		lines = append(lines, struct{ name, text string }{"Variables", "set -a; . '" + o.EnvFile + "'; set +a"})
	}
	var text strings.Builder
	fmt.Fprintf(&text, "A simulated Clerk listens at %s. Ctrl-C ends it.\n\n", s.URL())
	for _, line := range lines {
		fmt.Fprintf(&text, "  %-12s %s\n", line.name, line.text)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

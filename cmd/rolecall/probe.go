package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
)

// probeTimeout is above the second that /readyz may take.
const probeTimeout = 3 * time.Second

type probeCommand struct {
	Alive bool `help:"Ask /healthz: is the process alive, even if it should get no traffic?"`
}

// run asks the process beside this one, for supervisors that can't send a request.
func (c *probeCommand) run(ctx context.Context, io streams) error {
	cfg, _ := config.Read() // the process judges its settings itself
	host, port, err := net.SplitHostPort(cfg.AdminAddr)
	if err != nil {
		return fmt.Errorf("ROLECALL_ADMIN_ADDR: %w", err)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost" // it listens on every address
	}
	path := "/readyz"
	if c.Alive {
		path = "/healthz"
	}
	text, err := probe(ctx, "http://"+net.JoinHostPort(host, port)+path)
	if err == nil {
		_, err = fmt.Fprintln(io.out, text)
	}
	return err
}

// probe returns the text of an answer 200. It returns an error with the text of any other.
func probe(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("ROLECALL_ADMIN_ADDR: %w", err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request) // through no proxy
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	const most = 4 << 10 // both paths answer with a line
	raw, err := io.ReadAll(io.LimitReader(response.Body, most))
	text := strings.TrimSpace(string(raw))
	if response.StatusCode != http.StatusOK {
		return "", errors.New(cmp.Or(text, response.Status))
	}
	return text, err
}

package service

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/callmine/rolecall/api"
	"github.com/callmine/rolecall/jobs"

	clerksync "github.com/callmine/rolecall/sync"
	"github.com/callmine/rolecall/webhooks"
)

// webHandler wires the two public sides: webhooks in, answers out.
func (p *Service) webHandler() (http.Handler, error) {
	verifier, err := p.cfg.Verifier()
	if err != nil {
		return nil, err
	}
	inbox, err := jobs.NewInbox(jobs.InboxConfig{Pool: p.accept, InstanceID: p.instance.String, Logger: p.logger, Ended: p.countEnded})
	if err != nil {
		return nil, err
	}
	p.cleanup.Add("inbox", func(context.Context) error { inbox.Stop(); return nil })
	receive, err := webhooks.NewHandler(webhooks.Config{
		Verifier: verifier, Inbox: inbox, Logger: p.logger,
		Observe: func(o webhooks.Outcome, took time.Duration) {
			p.metrics.deliveries.WithLabelValues(string(o)).Inc()
			if o.Committed() {
				p.metrics.accept.Observe(took.Seconds())
			}
		},
	})
	if err != nil {
		return nil, err
	}
	answer, err := p.apiHandler()
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() == "/webhooks/clerk" { // as it is written: /webhooks%2Fclerk is another path
			p.awaitInstance(r.Context())
			receive.ServeHTTP(w, r)
			return
		}
		answer.ServeHTTP(w, r)
	}), nil
}

func (p *Service) apiHandler() (http.Handler, error) {
	services, err := p.cfg.ParsedServiceTokens()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	authenticator, err := api.NewAuthenticator(api.AuthenticatorConfig{
		Issuer: p.cfg.Issuer, JWKSURL: p.cfg.JWKSURL, AuthorizedParties: p.cfg.AuthorizedParties, ServiceTokens: services,
		AcceptTemplateTokens: p.cfg.TemplateTokens, HTTPClient: &http.Client{Transport: transport}, Logger: p.logger,
	})
	if err != nil {
		return nil, fmt.Errorf("CLERK_ISSUER, CLERK_JWKS_URL: %w", err)
	}
	p.authenticator = authenticator
	p.cleanup.Add("authenticator", func(context.Context) error {
		authenticator.Close()
		transport.CloseIdleConnections()
		return nil
	})
	cfg := api.Config{
		DB: p.read, EventDB: p.events, Authenticator: authenticator, Grants: p.policy.grants, Logger: p.logger,
		Entries:   p.entries,
		Decided:   func(r clerksync.Reason) { p.metrics.decisions.WithLabelValues(string(r)).Inc() },
		Refused:   func(r api.AuthReason) { p.metrics.refused.WithLabelValues(string(r)).Inc() },
		Refreshed: func(o api.RefreshOutcome) { p.metrics.refreshed.WithLabelValues(string(o)).Inc() },
	}
	if p.clerk != nil {
		if cfg.Refresher, err = p.refresher(); err != nil {
			return nil, err
		}
		if cfg.Commander, err = p.commander(); err != nil {
			return nil, err
		}
	}
	return api.NewHandler(cfg)
}

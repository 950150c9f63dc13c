package service

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/api"
	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/request"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
	"github.com/callmine/rolecall/webhooks"
)

// webhookPath is where Clerk sends deliveries.
const webhookPath = "/webhooks/clerk"

// webHandler wires the two public sides: webhooks in, answers out.
func (s *Service) webHandler() (http.Handler, error) {
	verifier, err := s.cfg.Verifier()
	if err != nil {
		return nil, err
	}
	inbox, err := jobs.NewInbox(jobs.InboxConfig{Pool: s.accept, InstanceID: s.instance.String, Logger: s.logger, Ended: s.countEnded, Acknowledged: &s.acknowledged})
	if err != nil {
		return nil, err
	}
	s.cleanup.Add("inbox", func(context.Context) error { inbox.Stop(); return nil })
	receive, err := webhooks.NewHandler(webhooks.Config{
		Verifier: verifier, Inbox: inbox, Logger: s.logger,
		Observe: func(o webhooks.Outcome, took time.Duration) {
			s.metrics.deliveries.WithLabelValues(string(o)).Inc()
			if o.Committed() {
				s.metrics.accept.Observe(took.Seconds())
				s.counted.Accepted()
			}
		},
	})
	if err != nil {
		return nil, err
	}
	answer, err := s.apiHandler()
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() == webhookPath { // as it is written: /webhooks%2Fclerk is another path
			request.Of(r.Context()).SetRoute(webhookPath)
			s.awaitInstance(r.Context())
			receive.ServeHTTP(w, r)
			return
		}
		answer.ServeHTTP(w, r)
	}), nil
}

func (s *Service) apiHandler() (http.Handler, error) {
	services, err := s.cfg.ParsedServiceTokens()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	authenticator, err := auth.NewAuthenticator(auth.Config{
		Issuer: s.cfg.Issuer, JWKSURL: s.cfg.JWKSURL, AuthorizedParties: s.cfg.AuthorizedParties, ServiceTokens: services,
		AcceptTemplateTokens: s.cfg.TemplateTokens, HTTPClient: &http.Client{Transport: transport}, Logger: s.logger,
	})
	if err != nil {
		return nil, fmt.Errorf("CLERK_ISSUER, CLERK_JWKS_URL: %w", err)
	}
	s.authenticator = authenticator
	s.cleanup.Add("authenticator", func(context.Context) error {
		authenticator.Close()
		transport.CloseIdleConnections()
		return nil
	})
	signIn, err := s.cfg.SignInPage()
	if err != nil {
		return nil, err
	}
	cfg := api.Config{
		DB: s.read, DecideDB: s.decide, EventDB: s.events, Feed: s.feed, Authenticator: authenticator, Policy: s.policy.Policy, Logger: s.logger,
		Snapshot: func(ctx context.Context, read func(store.DBTX) error) error {
			return s.read.Snapshot(ctx, func(tx pgx.Tx) error { return read(tx) })
		},
		Replicas: s.replicas, Entries: s.entries, SignInURL: signIn, PublicURL: s.cfg.PublicURL,
		Cookies: auth.SessionCookies{Issuer: s.cfg.Issuer, AuthorizedParties: s.cfg.AuthorizedParties},
		Decided: func(r clerksync.Reason) {
			s.metrics.decisions.WithLabelValues(string(r)).Inc()
			s.counted.Decided(r == clerksync.ReasonAllowed)
		},
		Refused: func(r auth.Reason) { s.metrics.refused.WithLabelValues(string(r)).Inc() },
		Stale:   s.metrics.stale.Inc,
		Appended: func(e clerksync.LoggedEntry) {
			s.acknowledged.Remember(store.AcknowledgedEntry, store.EntryID(e.ID, e.Hash))
		},
	}
	if s.cfg.CORS {
		cfg.BrowserOrigins = s.cfg.AuthorizedParties
	}
	if s.clerk != nil {
		if cfg.Refresher, err = s.lookups(); err != nil {
			return nil, err
		}
	}
	if s.clerk != nil && !s.cfg.ClerkReadOnly {
		if cfg.Commander, err = s.commander(); err != nil {
			return nil, err
		}
	}
	return api.NewHandler(cfg)
}

package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/callmine/rolecall/internal/edge"
)

// Limits of the listeners: above the needs of Clerk and the API, and low enough that a slow caller
// holds nothing for long.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second // Clerk's own limit for a delivery
	writeTimeout      = 20 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// listen binds an address. Connections wait until [Service.serve].
func (s *Service) listen(ctx context.Context, name, setting, addr string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %s: %w: end the process that listens there, or choose another address", name, setting, err)
	}
	s.cleanup.Add(name+" address", func(context.Context) error {
		if err := listener.Close(); !errors.Is(err, net.ErrClosed) { // by its server
			return err
		}
		return nil
	})
	return listener, nil
}

// serve answers requests in the background. watch is put around all that answers them.
func (s *Service) serve(name string, listener net.Listener, handler http.Handler, watch func(http.Handler) http.Handler) {
	server := &http.Server{
		Handler: s.parting(handler), ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: edge.ErrorLog(s.logger),
	}
	guarded := s.guard(name).Protect(server, listener)
	server.Handler = watch(server.Handler)
	traffic := newTraffic(cmp.Or(s.extras.LastRequests, lastRequests))
	traffic.watch(server) // last: it keeps the guard's hook
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(guarded); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.failed <- fmt.Errorf("serve %s: %w", name, err)
		}
	}()
	s.cleanup.Add(name+" listener", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.extras.RequestsTimeout, requestsTimeout))
		defer cancel()
		_ = listener.Close() // a refused connection is tried elsewhere
		traffic.settle(ctx)
		err := server.Shutdown(ctx)
		if errors.Is(err, net.ErrClosed) { // by us
			err = nil
		}
		if err != nil {
			err = errors.Join(err, server.Close()) // requests that outlive the deadline are cut
		}
		<-done
		return err
	})
}

// parting makes each answer of a stopping process close its connection, so that the caller's next
// one finds another process. Server.SetKeepAlivesEnabled would cut idle connections on which a
// request may be under way.
func (s *Service) parting(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

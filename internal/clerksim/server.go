package clerksim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// headerTimeout bounds how long a caller may take to send a request's head, so that Close never
// waits for one.
const headerTimeout = 10 * time.Second

// Server serves a handler, such as [World.Handler], over real HTTP. Make one with [Listen].
type Server struct {
	// URL is where it listens, without a path: the Backend API is at URL + "/v1".
	URL string

	server *http.Server
	done   chan error
}

// Listen serves handler at an address; an empty one is a free port of 127.0.0.1. It fails if the
// address isn't available. The caller must close the server.
func Listen(ctx context.Context, address string, handler http.Handler) (*Server, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", address, err)
	}
	s := &Server{
		URL:    "http://" + listener.Addr().String(),
		server: &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout},
		done:   make(chan error, 1),
	}
	go func() { s.done <- s.server.Serve(listener) }()
	return s, nil
}

// Close stops listening and waits for the requests under way until ctx ends, and then cuts them
// off. It returns an error if it cut any off, or if serving had failed before. It must be called
// once.
func (s *Server) Close(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("shut down simulator: %w", err), s.server.Close())
	}
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve simulator: %w", served))
	}
	return err
}

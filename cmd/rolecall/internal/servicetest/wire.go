package servicetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Dialer opens connections to one place.
type Dialer func(context.Context) (net.Conn, error)

// DialTCP connects to an address.
func DialTCP(addr string) Dialer {
	return func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", addr) }
}

// Wire is a caller that never retries, unlike [http.Client]. It is for one goroutine.
type Wire struct {
	Dial   Dialer
	Keep   bool // the connection, for as long as the server does
	Conn   net.Conn
	Reader *bufio.Reader
}

// Close ends the connection, if there is one.
func (w *Wire) Close() {
	if w.Conn != nil {
		_ = w.Conn.Close()
		w.Conn = nil
	}
}

// Reply is an answer that was read whole.
type Reply struct {
	Status int
	Closes bool // the connection
	Text   string
}

// Get asks as the bearer of a token.
func (w *Wire) Get(ctx context.Context, path, token string) (Reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://rolecall"+path, nil)
	if err != nil {
		return Reply{}, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return w.Do(ctx, request)
}

// Do sends a request once.
func (w *Wire) Do(ctx context.Context, request *http.Request) (Reply, error) {
	if w.Conn == nil {
		conn, err := w.Dial(ctx)
		if err != nil {
			return Reply{}, fmt.Errorf("dial: %w", err)
		}
		w.Conn, w.Reader = conn, bufio.NewReader(conn)
	}
	request.Close = !w.Keep
	answered, err := w.exchange(request)
	if err != nil || answered.Closes || request.Close {
		w.Close()
	}
	return answered, err
}

func (w *Wire) exchange(request *http.Request) (Reply, error) {
	if err := w.Conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return Reply{}, err
	}
	if err := request.Write(w.Conn); err != nil {
		return Reply{}, fmt.Errorf("send: %w", err)
	}
	response, err := http.ReadResponse(w.Reader, request)
	if err != nil {
		return Reply{}, fmt.Errorf("read answer: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Reply{}, fmt.Errorf("read body: %w", err)
	}
	return Reply{Status: response.StatusCode, Closes: response.Close, Text: string(body)}, nil
}

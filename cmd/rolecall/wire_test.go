package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// dialer opens connections to one place.
type dialer func(context.Context) (net.Conn, error)

func dialTCP(addr string) dialer {
	return func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", addr) }
}

// wire is a caller that tries nothing twice, which [http.Client] does unasked. It is for one
// goroutine.
type wire struct {
	dial   dialer
	keep   bool // the connection, for as long as the server does
	conn   net.Conn
	reader *bufio.Reader
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// reply is an answer that was read whole.
type reply struct {
	status int
	closes bool // the connection
	text   string
}

// get asks as the bearer of a token.
func (w *wire) get(ctx context.Context, path, token string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://rolecall"+path, nil)
	if err != nil {
		return reply{}, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return w.do(ctx, request)
}

// do sends a request once.
func (w *wire) do(ctx context.Context, request *http.Request) (reply, error) {
	if w.conn == nil {
		conn, err := w.dial(ctx)
		if err != nil {
			return reply{}, fmt.Errorf("dial: %w", err)
		}
		w.conn, w.reader = conn, bufio.NewReader(conn)
	}
	request.Close = !w.keep
	answered, err := w.exchange(request)
	if err != nil || answered.closes || request.Close {
		w.close()
	}
	return answered, err
}

func (w *wire) exchange(request *http.Request) (reply, error) {
	if err := w.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return reply{}, err
	}
	if err := request.Write(w.conn); err != nil {
		return reply{}, fmt.Errorf("send: %w", err)
	}
	response, err := http.ReadResponse(w.reader, request)
	if err != nil {
		return reply{}, fmt.Errorf("read answer: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, fmt.Errorf("read body: %w", err)
	}
	return reply{status: response.StatusCode, closes: response.Close, text: string(body)}, nil
}

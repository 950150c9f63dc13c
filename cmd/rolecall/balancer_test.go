package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// balancer passes connections on to instances that are ready. It doesn't know HTTP, and never
// retries.
type balancer struct {
	listener  net.Listener
	instances []*instance
	next      atomic.Uint64
	work      sync.WaitGroup
}

// instance is a process as a balancer sees it.
type instance struct {
	web, readyz string
	up          atomic.Bool
}

// startBalancer asks /readyz of each instance at an interval. It returns once all are up.
func startBalancer(t *testing.T, interval time.Duration, instances ...*instance) *balancer {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &balancer{listener: listener, instances: instances}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	for _, i := range instances {
		b.work.Go(func() { i.watch(ctx, interval) })
	}
	b.work.Go(func() { b.accept(ctx) })
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		b.work.Wait()
	})
	for _, i := range instances {
		require.Eventually(t, i.up.Load, 10*time.Second, time.Millisecond)
	}
	return b
}

func (i *instance) watch(ctx context.Context, interval time.Duration) {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if status, _ := servicetest.Fetch(ctx, client, i.readyz); status != 0 { // one missing answer proves nothing
				i.up.Store(status == http.StatusOK)
			}
		}
	}
}

func (b *balancer) accept(ctx context.Context) {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.work.Go(func() { b.pass(ctx, client) })
	}
}

// pass connects a client with the next instance that is up. If it can't, the client finds its
// connection closed.
func (b *balancer) pass(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	first := b.next.Add(1)
	for n := range uint64(len(b.instances)) { // each once, whatever other clients connect meanwhile
		i := b.instances[(first+n)%uint64(len(b.instances))]
		if !i.up.Load() {
			continue
		}
		server, err := servicetest.DialTCP(i.web)(ctx)
		if err != nil {
			return
		}
		defer func() { _ = server.Close() }()
		defer context.AfterFunc(ctx, func() { _ = client.Close(); _ = server.Close() })()
		var both sync.WaitGroup
		both.Go(func() { pipe(server, client) })
		both.Go(func() { pipe(client, server) })
		both.Wait()
		return
	}
}

// pipe copies one direction, and passes its end on.
func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/callmine/rolecall/internal/pgtest"
)

const (
	floodCallers = 1200
	floodMemory  = 150             // MiB that the whole process may take, at its worst moment
	promptly     = 5 * time.Second // a third of Clerk's patience, on a machine that the callers use up, too
)

// flood is a real process, callers who want to use it up, and Clerk, whose deliveries have to get through.
type flood struct {
	*builtProcess
	t      *testing.T
	secret string
}

// TestCallersWhoNobodySignedForCantUseTheServiceUp has 1,200 callers at once hold what they can, in each way that there is. The whole
// process stays below 150 MiB, and each signed delivery is accepted meanwhile.
func TestCallersWhoNobodySignedForCantUseTheServiceUp(t *testing.T) { //nolint:paralleltest // it measures
	if _, err := os.Stat("/proc/self/clear_refs"); err != nil {
		t.Log("memory is measured on Linux only")
		return
	}
	b := startBundle(t, pgtest.URL(t), nil, parts{web: true})
	f := &flood{builtProcess: startBuilt(t, b.program.cfg), t: t, secret: b.secret}
	const whole = 1 << 20
	for _, kind := range []struct {
		name       string
		callers    int
		head, body string
		again      bool // whoever is cut comes back at once
	}{
		{"half-sent bodies", floodCallers, post(whole), strings.Repeat("x", whole-1), false},
		{"half-sent bodies again and again", 50, post(whole), strings.Repeat("x", whole-1), true},
		{"half-sent small bodies", floodCallers, post(60 << 10), strings.Repeat("x", 60<<10-1), false},
		{"chunked bodies", floodCallers, chunked(), "80000\r\n" + strings.Repeat("x", 0x80000) + "\r\n", false},
		{"unsigned bodies again and again", 20, post(whole), strings.Repeat("x", whole), true},
		{"half-sent heads", floodCallers, "GET / HTTP/1.1\r\nHost: x\r\n" + tinyLines(30<<10), "", false},
		{"heads of many lines with half-sent bodies", floodCallers, withLines(post(whole), 30<<10), strings.Repeat("x", whole-1), false},
		{"dense heads behind others", floodCallers, "GET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n" + withLines("GET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n", 3500), "", false},
		{"silent connections", 5000, "", "", false},
		{"kept connections", 5000, "GET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n", "", false},
		{"bodies for the API", floodCallers, "POST /v1/authorize HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n", strings.Repeat("x", whole-1), false},
		{"pipelines", 20, strings.Repeat("GET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n", 1000), "", true},
		{"answers that nobody reads", floodCallers, strings.Repeat(withLines("GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n", 30<<10), 20), "", false},
	} {
		t.Run(kind.name, func(t *testing.T) {
			f.t = t
			f.withstands(kind.callers, kind.head+kind.body, kind.again)
		})
	}
	t.Run("the slow are cut", func(t *testing.T) {
		f.t = t
		f.cutsTheSlow(post(whole) + strings.Repeat("x", whole-1))
	})
}

// withstands has callers send, and holds against it what the process takes and whether deliveries get through.
func (f *flood) withstands(callers int, text string, again bool) {
	f.t.Helper()
	f.forgetPeak(f.t)
	stop := make(chan struct{})
	var sent, ended sync.WaitGroup
	halt := sync.OnceFunc(func() { close(stop); ended.Wait() })
	defer halt()
	for range callers {
		sent.Add(1)
		ended.Go(func() { f.hold(text, again, stop, sync.OnceFunc(sent.Done)) })
	}
	began := time.Now()
	if !again {
		sent.Wait()
	}
	longest := f.deliver(50)
	halt()
	peak := f.memory(f.t, "VmHWM")
	f.t.Logf("peak %.0f MiB, longest delivery %s of %s", peak, longest, time.Since(began))
	require.Less(f.t, peak, float64(floodMemory))
	require.Less(f.t, longest, promptly)
}

// hold sends a text and keeps the connection until stop.
func (f *flood) hold(text string, again bool, stop <-chan struct{}, sent func()) {
	defer sent()
	for {
		c, err := net.Dial("tcp", f.web)
		if err == nil {
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				_, _ = io.Copy(c, strings.NewReader(text)) // it may be cut at any moment
				sent()
				if again {
					_, _ = io.Copy(io.Discard, c)
				} else {
					<-stop
				}
			}()
			select {
			case <-gone:
			case <-stop:
			}
			_ = c.Close()
			<-gone
		}
		select {
		case <-stop:
			return
		default:
		}
		if !again && err == nil {
			return
		}
	}
}

// deliver sends signed deliveries, one after the other, each over a connection of its own, and returns the longest time that one took.
func (f *flood) deliver(count int) (longest time.Duration) {
	f.t.Helper()
	signer, err := svix.NewWebhook(f.secret)
	require.NoError(f.t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	for i := range count {
		size := 4 << 10
		if i%10 == 9 {
			size = 100 << 10
		}
		body := []byte(`{"type":"user.updated","data":{"id":"user_1","bio":"` + strings.Repeat("x", size) + `"},"timestamp":1790000000000}`)
		id, now := fmt.Sprintf("msg_%s_%d", strings.NewReplacer("/", "_").Replace(f.t.Name()), i), time.Now()
		signature, err := signer.Sign(id, now, body)
		require.NoError(f.t, err)
		request, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, "http://"+f.web+"/webhooks/clerk", bytes.NewReader(body))
		require.NoError(f.t, err)
		for name, value := range map[string]string{
			"svix-id": id, "svix-timestamp": strconv.FormatInt(now.Unix(), 10), "svix-signature": signature,
		} {
			request.Header.Set(name, value)
		}
		response, err := client.Do(request)
		require.NoError(f.t, err, "delivery %d after %s: %s", i, time.Since(now), f.log)
		require.NoError(f.t, response.Body.Close())
		require.Equal(f.t, http.StatusOK, response.StatusCode, "delivery %d: %s", i, f.log)
		longest = max(longest, time.Since(now))
	}
	return longest
}

// cutsTheSlow requires that whoever sends half a request hears of its end, and that the memory isn't held for ever.
func (f *flood) cutsTheSlow(text string) {
	f.t.Helper()
	var ended sync.WaitGroup
	began := time.Now()
	for range 100 {
		ended.Go(func() {
			c, err := net.Dial("tcp", f.web)
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			_, _ = io.Copy(c, strings.NewReader(text))
			_, _ = io.Copy(io.Discard, c)
		})
	}
	ended.Wait()
	require.Less(f.t, time.Since(began), readTimeout+5*time.Second)
	require.Less(f.t, f.memory(f.t, "VmRSS"), float64(floodMemory))
}

func post(length int) string {
	return fmt.Sprintf("POST /webhooks/clerk HTTP/1.1\r\nHost: x\r\nsvix-id: msg_1\r\nsvix-timestamp: %d\r\nsvix-signature: v1,x\r\nContent-Length: %d\r\n\r\n",
		time.Now().Unix(), length)
}

func chunked() string {
	return strings.Replace(post(0), "Content-Length: 0", "Transfer-Encoding: chunked", 1)
}

// withLines puts lines into a head, each of a name of its own: they cost the most to keep.
func withLines(head string, size int) string {
	return strings.TrimSuffix(head, "\r\n") + tinyLines(size) + "\r\n"
}

func tinyLines(size int) string {
	var lines strings.Builder
	for i := 0; lines.Len() < size; i++ {
		lines.WriteString(strconv.FormatInt(int64(i), 36) + ":\r\n")
	}
	return lines.String()
}

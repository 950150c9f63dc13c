package service_test

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

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

const (
	floodCallers = 1200
	floodMemory  = 150             // MiB that the whole process may take, at its worst moment
	promptly     = 5 * time.Second // although the callers load the machine, too; Clerk waits for 15 s
)

// flood is a real process, callers that try to exhaust it, and Clerk, whose deliveries must be
// accepted.
type flood struct {
	*builtProcess
	t      *testing.T
	secret string
}

// TestFlood_UnsignedCallersCannotExhaustTheService: 1,200 callers at once hold as much memory as
// they can. The whole process stays below 150 MiB, and accepts each signed delivery meanwhile.
//
//nolint:paralleltest // it measures
func TestFlood_UnsignedCallersCannotExhaustTheService(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	if _, err := os.Stat("/proc/self/clear_refs"); err != nil {
		require.Empty(t, os.Getenv("CI"), "memory is measured by /proc/PID/clear_refs, which isn't here: %v", err)
		t.Skip("memory is measured by /proc/PID/clear_refs, which isn't here: run the tests on Linux") //nolint:forbidigo // CI fails above
	}
	b := servicetest.Start(t, pgtest.URL(t), nil, config.Parts{Web: true})
	f := &flood{builtProcess: startBuilt(t, b.Config), t: t, secret: b.Secret}
	const whole = 1 << 20
	for _, kind := range []struct {
		name       string
		callers    int
		head, body string
		again      bool // cut callers come back at once
	}{
		{"half-sent bodies", floodCallers, post(whole), strings.Repeat("x", whole-1), false},
		{"half-sent bodies again and again", 50, post(whole), strings.Repeat("x", whole-1), true},
		{"half-sent heads", floodCallers, "GET / HTTP/1.1\r\nHost: x\r\n" + tinyLines(30<<10), "", false},
		{"answers that callers don't read", floodCallers, strings.Repeat(withLines("GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n", 30<<10), 20), "", false},
	} {
		t.Run(kind.name, func(t *testing.T) {
			f.t = t
			f.withstands(kind.callers, kind.head+kind.body, kind.again)
		})
	}
	t.Run("heads that claim bodies", func(t *testing.T) {
		f.t = t
		f.withstandsClaims(600, post(104_000))
	})
	t.Run("the slow are cut", func(t *testing.T) {
		f.t = t
		f.cutsTheSlow("GET / HTTP/1.1\r\nHost: x\r\n" + tinyLines(30<<10))
	})
}

// withstands lets callers send, and checks the peak memory and the deliveries meanwhile.
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

// withstandsClaims lets so many new callers come in each second, while earlier ones are still
// connected. Each sends only a head.
func (f *flood) withstandsClaims(aSecond int, head string) {
	f.t.Helper()
	stop := make(chan struct{})
	var ended sync.WaitGroup
	halt := sync.OnceFunc(func() { close(stop); ended.Wait() })
	defer halt()
	enough := make(chan struct{})
	ended.Go(func() {
		ticker := time.NewTicker(time.Second / time.Duration(aSecond))
		defer ticker.Stop()
		for sent := 0; ; sent++ {
			if sent == 5*aSecond {
				close(enough)
			}
			select {
			case <-stop:
				return
			case <-ticker.C:
				ended.Go(func() { f.hold(head, false, stop, func() {}) })
			}
		}
	})
	longest := f.deliverUntil(enough)
	halt()
	f.t.Logf("longest delivery %s", longest)
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

// deliver sends signed deliveries, one after the other, each over a connection of its own, and
// returns the longest time that one took.
func (f *flood) deliver(count int) (longest time.Duration) {
	f.t.Helper()
	for i := range count {
		size := 4 << 10
		if i%10 == 9 {
			size = 100 << 10
		}
		longest = max(longest, f.deliverOne(fmt.Sprint(i), size, false))
	}
	return longest
}

// deliverUntil sends large deliveries, and small ones without a length, until enough is closed.
func (f *flood) deliverUntil(enough <-chan struct{}) (longest time.Duration) {
	f.t.Helper()
	for i := 0; ; i++ {
		select {
		case <-enough:
			return longest
		default:
			longest = max(longest, f.deliverOne(fmt.Sprint("large_", i), 100<<10, false), f.deliverOne(fmt.Sprint("chunked_", i), 3<<10, true))
		}
	}
}

// deliverOne sends a signed delivery and returns how long it took.
func (f *flood) deliverOne(name string, size int, chunked bool) time.Duration {
	f.t.Helper()
	signer, err := svix.NewWebhook(f.secret)
	require.NoError(f.t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	body := []byte(`{"type":"user.updated","data":{"id":"user_1","bio":"` + strings.Repeat("x", size) + `"},"timestamp":1790000000000}`)
	id, now := fmt.Sprintf("msg_%s_%s", strings.NewReplacer("/", "_").Replace(f.t.Name()), name), time.Now()
	signature, err := signer.Sign(id, now, body)
	require.NoError(f.t, err)
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, "http://"+f.web+"/webhooks/clerk", bytes.NewReader(body))
	require.NoError(f.t, err)
	if chunked {
		request.ContentLength = -1
	}
	for name, value := range map[string]string{
		"svix-id": id, "svix-timestamp": strconv.FormatInt(now.Unix(), 10), "svix-signature": signature,
	} {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	// Svix tries again, too. A busy machine may stop twice for as long as a caller keeps its room.
	for err == nil && response.StatusCode == http.StatusServiceUnavailable && time.Since(now) < promptly {
		require.NoError(f.t, response.Body.Close())
		request.Body, err = request.GetBody()
		require.NoError(f.t, err)
		response, err = client.Do(request)
	}
	require.NoError(f.t, err, "delivery %s after %s: %s", name, time.Since(now), f.log)
	require.NoError(f.t, response.Body.Close())
	require.Equal(f.t, http.StatusOK, response.StatusCode, "delivery %s: %s", name, f.log)
	return time.Since(now)
}

// cutsTheSlow requires that a caller that sends half a request is cut in time, and that its memory
// is freed.
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
	require.Less(f.t, time.Since(began), service.ReadHeaderTimeout+5*time.Second)
	require.Less(f.t, f.memory(f.t, "VmRSS"), float64(floodMemory))
}

func post(length int) string {
	return fmt.Sprintf("POST /webhooks/clerk HTTP/1.1\r\nHost: x\r\nsvix-id: msg_1\r\nsvix-timestamp: %d\r\nsvix-signature: v1,x\r\nContent-Length: %d\r\n\r\n",
		time.Now().Unix(), length)
}

// withLines adds lines to a head. Each has another name, which costs the most memory.
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

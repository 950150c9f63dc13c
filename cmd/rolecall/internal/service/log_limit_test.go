package service_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/testlog"
)

// linesOf returns what a limited logger writes.
func linesOf(log *testlog.Lines) []string {
	return strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
}

func limited(log *testlog.Lines) *slog.Logger {
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	handler, _ := service.LimitLog(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: noTime}))
	return slog.New(handler)
}

func TestLogLimit_CountsRepeatedLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testlog.Lines{}
		logger := limited(log)
		for n := range 1000 {
			logger.With("queue", "apply").Warn("apply deliveries", "n", n)
			logger.Error("commit deliveries")
			<-time.After(24 * time.Millisecond)
		}
		<-time.After(10 * time.Minute)
		logger.Warn("apply deliveries", "n", 1000)
		<-time.After(time.Minute)
		require.ElementsMatch(t, []string{ // the periods of two kinds end at once, in any order
			`level=WARN msg="apply deliveries" queue=apply n=0`,
			`level=ERROR msg="commit deliveries"`,
			`level=WARN msg="apply deliveries" queue=apply n=416 left_out=415`,
			`level=ERROR msg="commit deliveries" left_out=415`,
			`level=WARN msg="apply deliveries" queue=apply n=999 left_out=582`,
			`level=ERROR msg="commit deliveries" left_out=582`,
			`level=WARN msg="apply deliveries" n=1000`,
		}, linesOf(log))
	})
}

// TestLogLimit_TellsKindsApartByReason, also by a reason in the logger's own attributes.
func TestLogLimit_TellsKindsApartByReason(t *testing.T) {
	t.Parallel()
	log := &testlog.Lines{}
	logger := limited(log)
	for n := range 10 {
		logger.Warn("caller refused", "reason", auth.ReasonIssuer, "n", n)
		logger.With("n", n).Warn("caller refused", "reason", auth.ReasonExpired)
		logger.With("reason", "keys_unavailable").Warn("caller refused", "n", n)
		logger.Warn("webhook refused", "outcome", "bad_headers", "n", n)
		logger.Warn("webhook refused", "outcome", "bad_signature", "n", n)
		logger.Warn("cut", "listener", "web", "cause", "memory")
		logger.Warn("cut", "listener", "admin", "cause", "memory")
		logger.Warn("cut", "listener", "web", "cause", "connections")
	}
	require.Len(t, linesOf(log), 8, "the first of each at once: %s", log)
	require.Equal(t, 1, strings.Count(log.String(), "reason=issuer n=0"))
	require.Equal(t, 1, strings.Count(log.String(), "reason=expired"))
}

// TestLogLimit_WritesLinesThatNameTheirObject: each quarantined delivery matters.
func TestLogLimit_WritesLinesThatNameTheirObject(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"svix_id", "command_id"} {
		log := &testlog.Lines{}
		for n := range 100 {
			limited(log).Error("delivery quarantined", name, n)
		}
		logger := limited(log)
		for n := range 100 {
			logger.Error("delivery quarantined", name, n)
			logger.With(name, n).WithGroup("g").Warn("delivery quarantined", "reason", "x")
		}
		require.Len(t, linesOf(log), 300)
	}
}

func TestLogLimit_WritesAllLinesBelowWarning(t *testing.T) {
	t.Parallel()
	log := &testlog.Lines{}
	for range 100 {
		limited(log).Info("serving")
	}
	require.Len(t, linesOf(log), 100)
}

func TestLogLimit_InventedMessagesTakeNoMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testlog.Lines{}
		logger := limited(log)
		for n := range 3 * service.MaxLogKinds {
			logger.Warn(fmt.Sprintf("http: TLS handshake error from 192.0.2.1:%d", n))
		}
		require.Len(t, linesOf(log), service.MaxLogKinds+1)
		<-time.After(time.Minute)
		require.Contains(t, log.String(), "left_out=")
	})
}

package service_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/testlog"
)

// TestLogLimit_CountsWhatAnOutageLeavesOut: twelve kinds of lines about the database, of which five
// begin, and one that is about something else.
func TestLogLimit_CountsWhatAnOutageLeavesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testlog.Lines{}
		handler, away := service.LimitLog(slog.NewJSONHandler(log, nil))
		logger := slog.New(handler)
		for n := range 60 {
			if n == 4 {
				away(true)
			}
			for kind := range 6 {
				logger.Error(fmt.Sprintf("kind %d", kind), "error", fmt.Errorf("ask: %w", io.ErrUnexpectedEOF))
				logger.With("logged_by", "river").Error(fmt.Sprintf("river %d", kind), "err", "failed to connect to `database=rolecall`: refused")
			}
			logger.With("logged_by", "river").Warn("river: stepping down")
			logger.Warn("slow request", "status", 0)
			logger.Error("delivery quarantined", "svix_id", n, "error", io.ErrUnexpectedEOF)
			logger.Warn("caller refused", "reason", "expired")
			<-time.After(time.Second)
		}
		away(false)
		<-time.After(10 * time.Minute)
		counts := warnings(t, log.String())
		require.Equal(t, 60, counts["delivery quarantined"], "each is about another object")
		require.Greater(t, counts["caller refused"], 2, "the other kinds go by their own rule")
		delete(counts, "delivery quarantined")
		delete(counts, "caller refused")
		require.Equal(t, map[string]int{
			"kind 0": 1, "kind 1": 1, "kind 2": 1, "kind 3": 1, "river 0": 1, "the database didn't answer: lines about it were left out": 1,
		}, counts)
		var summary struct {
			LeftOut int            `json:"left_out"`
			Lines   map[string]int `json:"lines"`
		}
		at := strings.Index(log.String(), "the database didn't answer")
		line := log.String()[strings.LastIndex(log.String()[:at], "\n")+1:]
		require.NoError(t, json.NewDecoder(strings.NewReader(line)).Decode(&summary))
		require.NotContains(t, strings.SplitN(line, "\n", 2)[0], "logged_by")
		require.Equal(t, 14*60-5, summary.LeftOut)
		require.Equal(t, 59, summary.Lines["kind 0"])
		require.Equal(t, 60, summary.Lines["river 5"])
		require.Equal(t, 60, summary.Lines["river: stepping down"])
		require.Equal(t, 60, summary.Lines["slow request"])
	})
}

// TestLogLimit_ABriefTroubleIsSummedUp although nothing noticed an outage.
func TestLogLimit_ABriefTroubleIsSummedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testlog.Lines{}
		handler, _ := service.LimitLog(slog.NewJSONHandler(log, nil))
		logger := slog.New(handler)
		for range 20 {
			logger.Error("request failed", "error", io.EOF)
		}
		<-time.After(15 * time.Second)
		require.Contains(t, log.String(), `"left_out":19`)
		<-time.After(time.Minute)
		logger.Error("request failed", "error", io.EOF)
		require.Len(t, linesOf(log), 3, "it is told again: %s", log)
	})
}

// TestLogLimit_TroubleElsewhereIsNotTheDatabases: a sender who breaks off, and a collector of
// traces that is away, look like a connection to the database that breaks.
func TestLogLimit_TroubleElsewhereIsNotTheDatabases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testlog.Lines{}
		handler, _ := service.LimitLog(slog.NewJSONHandler(log, nil))
		logger := slog.New(handler)
		for range 20 {
			logger.Warn("webhook refused", "outcome", "unreadable", "error", io.ErrUnexpectedEOF)
			logger.Warn("traces can't be sent: spans are lost", "error", fmt.Errorf("export: %w", &url.Error{Op: "Post", URL: "http://collector", Err: io.EOF}))
			logger.With("logged_by", "river").Warn("river: stepping down")
		}
		<-time.After(15 * time.Second)
		require.NotContains(t, log.String(), "the database")
		require.Contains(t, log.String(), "river: stepping down")
		require.Equal(t, 3, strings.Count(log.String(), `"left_out":18`), "each kind goes by its own rule: %s", log)
		logger.Warn("webhook refused", "outcome", "unavailable", "error", io.ErrUnexpectedEOF)
		logger.Warn("webhook refused", "outcome", "unavailable", "error", io.ErrUnexpectedEOF)
		<-time.After(15 * time.Second)
		require.Contains(t, log.String(), "the database didn't answer", "the inbox waits for nothing else")
	})
}

// TestLogLimit_ALockIsNoOutage: a lock that is held for hours is told again and again, with its
// workspace, while a server that shuts down is an outage.
func TestLogLimit_ALockIsNoOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testlog.Lines{}
		handler, _ := service.LimitLog(slog.NewJSONHandler(log, nil))
		logger := slog.New(handler)
		fail := func(code string) error { return fmt.Errorf("apply: %w", &pgconn.PgError{Code: code}) }
		for n := range 600 {
			logger.Warn("deliveries are held up", "organization_ids", n, "error", fail("55P03"))
			logger.Error("request failed", "reason", "database_unavailable", "error", fail("57014"))
			logger.Warn("the sweep failed, and is tried again", "sweep_id", "sweep_1", "error", fail("55P03"))
			<-time.After(time.Second)
		}
		require.NotContains(t, log.String(), "the database didn't answer")
		require.Greater(t, warnings(t, log.String())["deliveries are held up"], 10)
		require.Less(t, warnings(t, log.String())["the sweep failed, and is tried again"], 20, "it is one sweep")
		<-time.After(10 * time.Minute)
		for range 20 {
			logger.Error("request failed", "reason", "database_unavailable", "error", fail("57P01"))
		}
		<-time.After(15 * time.Second)
		require.Contains(t, log.String(), "the database didn't answer")
	})
}

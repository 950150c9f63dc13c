package console

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/internal/pgtest"
	clerksync "github.com/callmine/rolecall/sync"
)

// newConsole returns a console on a new database.
func newConsole(t *testing.T) *Console {
	t.Helper()
	c, err := New(Config{
		Pool: pgtest.New(t), Loopback: true, Logger: slog.New(slog.DiscardHandler),
		Situation: func() (health.Situation, error) { return health.Situation{}, nil }, Own: func() health.Own { return health.Own{} },
		Instance: func() string { return "" },
		Policy:   func(context.Context) support.ConfiguredPolicy { return support.ConfiguredPolicy{} },
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// visitOf returns a visit of an operator, without a request of a browser.
func visitOf(t *testing.T, operator string) *visit {
	t.Helper()
	return &visit{Request: httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), operator: operator, admitted: true}
}

// TestRead_HasLimits: a page only reads, and a slow statement ends with a page that says so.
func TestRead_HasLimits(t *testing.T) {
	t.Parallel()
	c := newConsole(t)
	v := visitOf(t, "")
	err := c.read(v, func(ctx context.Context) error {
		_, err := v.db.Exec(ctx, "SELECT pg_sleep(60)")
		return err
	})
	require.Equal(t, "This page took too long", faultOf(err).Title)
	require.Equal(t, http.StatusServiceUnavailable, faultOf(err).Status)
	err = c.read(v, func(ctx context.Context) error {
		_, err := v.db.Exec(ctx, "DELETE FROM rolecall.operator_sessions")
		return err
	})
	require.ErrorContains(t, err, "read-only transaction")
}

// TestRead_TakesTooLongAsAWhole: many short statements are no outage. Without any answer, the
// database counts as away.
func TestRead_TakesTooLongAsAWhole(t *testing.T) {
	t.Parallel()
	c := newConsole(t)
	v := visitOf(t, "")
	err := c.read(v, func(ctx context.Context) error {
		for {
			if _, err := v.db.Exec(ctx, "SELECT pg_sleep(0.1)"); err != nil {
				return err
			}
		}
	})
	require.Equal(t, "This page took too long", faultOf(err).Title)
	c.cfg.Pool.Close()
	err = c.read(v, func(context.Context) error { return nil })
	require.NotErrorIs(t, err, errSlow)
}

// TestTurns_AreFew: a third request waits for two seconds, and then learns that the console is
// busy.
func TestTurns_AreFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(10)
		first, err := turns.take(t.Context())
		require.NoError(t, err)
		_, err = turns.take(t.Context())
		require.NoError(t, err)
		began := time.Now()
		_, err = turns.take(t.Context())
		require.ErrorIs(t, err, errBusy)
		require.Equal(t, turnTime, time.Since(began))
		require.Equal(t, http.StatusServiceUnavailable, faultOf(err).Status)
		first()
		_, err = turns.take(t.Context())
		require.NoError(t, err)
	})
}

// TestTries_CountPerAddressAndMinute: also all addresses of an IPv6 network together.
func TestTries_CountPerAddressAndMinute(t *testing.T) {
	t.Parallel()
	now := noon
	tries := newTries(func() time.Time { return now })
	from := func(remote string) netip.Prefix { return networkOf(addressOf(&http.Request{RemoteAddr: remote})) }
	for range maxTries {
		require.Zero(t, tries.begin(from("[2001:db8::1]:1")))
	}
	now = now.Add(20 * time.Second)
	require.Equal(t, 40*time.Second, tries.begin(from("[2001:db8::2]:2")))
	require.Zero(t, tries.begin(from("[2001:db8:0:1::1]:1")))
	require.Zero(t, tries.begin(from("192.0.2.1:1")))
	now = now.Add(40 * time.Second)
	require.Zero(t, tries.begin(from("[2001:db8::1]:1")))
	require.Equal(t, from("192.0.2.1:1"), from("[::ffff:192.0.2.1]:7"))
	require.NotEqual(t, from("192.0.2.1:1"), from("192.0.2.2:1"))
	for range maxTries * 2 {
		require.Zero(t, tries.begin(from("192.0.2.9:1")))
		tries.forgive(from("192.0.2.9:1"))
	}
}

// TestRefusals_FloodNoLog: after the first five, an entry a minute, which counts the others.
func TestRefusals_FloodNoLog(t *testing.T) {
	t.Parallel()
	now := noon
	refusals := newRefusals(func() time.Time { return now })
	entries, counted := 0, 0
	for range 600 {
		if n, due := refusals.count(); due {
			entries, counted = entries+1, counted+n
		}
		now = now.Add(time.Second)
	}
	require.Equal(t, 5+9, entries)
	require.Greater(t, counted, 500)
}

// TestChange_WithItsEntryOrNotAtAll: if the entry can't be written, the change doesn't happen. A
// change that fails leaves no entry.
func TestChange_WithItsEntryOrNotAtAll(t *testing.T) {
	t.Parallel()
	c := newConsole(t)
	ctx := t.Context()
	insert := func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO rolecall.operator_sessions (id_hash, operator, token_hash, expires_at) VALUES ('\\x01', 'a', '\\x02', now())")
		return err
	}
	count := func(table string) (n int) {
		require.NoError(t, c.cfg.Pool.QueryRow(ctx, "SELECT count(*) FROM rolecall."+table).Scan(&n))
		return n
	}
	what := doing{Action: clerksync.ActionOperatorJobs, Target: "x"}
	require.ErrorIs(t, c.change(ctx, visitOf(t, ""), what, insert), errForbidden)
	require.Zero(t, count("operator_sessions"))
	_, err := c.cfg.Pool.Exec(ctx, "ALTER TABLE rolecall.audit_log ADD CONSTRAINT closed CHECK (target <> 'x') NOT VALID")
	require.NoError(t, err)
	require.Error(t, c.change(ctx, visitOf(t, "ada"), what, insert))
	require.Zero(t, count("operator_sessions"), "an unaudited change")
	_, err = c.cfg.Pool.Exec(ctx, "ALTER TABLE rolecall.audit_log DROP CONSTRAINT closed")
	require.NoError(t, err)
	require.NoError(t, c.change(ctx, visitOf(t, "ada"), what, insert))
	require.Equal(t, 1, count("operator_sessions"))
	require.Error(t, c.change(ctx, visitOf(t, "ada"), what, insert), "the same row again")
	require.Equal(t, 1, count("audit_log"))
}

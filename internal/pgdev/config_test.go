package pgdev

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"zero value", Config{}, ""},
		{"settings", Config{Settings: map[string]string{"fsync": "off", "auto_explain.log_analyze": "on"}}, ""},
		{"port of one's choice", Config{TCPAddr: "[::1]:5433"}, ""},
		{"not loopback", Config{TCPAddr: "0.0.0.0:5433"}, "loopback"},
		{"no port", Config{TCPAddr: "127.0.0.1"}, "parse TCPAddr"},
		{"not a setting", Config{Settings: map[string]string{"fsync=on -c x": "1"}}, "not a valid"},
		{"reserved", Config{Settings: map[string]string{"listen_addresses": "*"}}, "decided by pgdev"},
		{"bad URL", Config{DatabaseURL: "postgres://app:secret@[::1"}, "parse database URL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := tc.cfg.validate()
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestReplaceDatabase(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ given, database, want string }{
		{"postgres://u:p@h:1/old?sslmode=require", "new", "postgres://u:p@h:1/new?sslmode=require"},
		{"postgresql:///old?host=%2Frun", "new", "postgresql:///new?host=%2Frun"},
		{"postgres://h/old?dbname=older", "new", "postgres://h/new"},
		{"postgres://h/old", "", "postgres://h/old"},
		{"host=h dbname=old", "it's", `host=h dbname=old dbname='it\'s'`},
	} {
		require.Equal(t, tc.want, replaceDatabase(tc.given, tc.database))
	}
}

func TestLogTail_KeepsTheEnd(t *testing.T) {
	t.Parallel()
	tail := &logTail{logger: slog.New(slog.DiscardHandler)}
	for range tailLines {
		_, _ = tail.Write([]byte("early\n"))
	}
	_, _ = tail.Write([]byte("one li"))
	_, _ = tail.Write([]byte("ne\ntwo\nunfinished"))
	require.Regexp(t, `^(early\n){10}one line\ntwo$`, tail.String())
}

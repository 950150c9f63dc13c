package pgdev

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Config describes the Postgres that [Start] returns. The zero value is a durable server with its
// data in a temporary folder.
type Config struct {
	// DatabaseURL names a Postgres that is already there, as a URL or in keyword/value form. When
	// it is set, that server is used, nothing is started or stopped, and the other fields except
	// Logger are ignored. Callers pass the value of DATABASE_URL here. Defaults to empty: start a
	// server.
	DatabaseURL string

	// DataDir is the folder of the server's data, which outlives the server. It is created if
	// missing, and must be empty or made by this package. Defaults to empty: a temporary folder
	// that [Server.Stop] removes. For root, a folder below /var/lib/rolecall takes its place if the
	// account that runs Postgres can't enter it; see [Server.DataDir].
	DataDir string

	// TempRoot is where the temporary folder is made when DataDir is empty. Defaults to
	// [os.TempDir].
	TempRoot string

	// TCPAddr makes the server listen on a loopback address as well, for tools and proxies that
	// can't use a Unix socket. Port 0 picks a free one; see [Server.TCPURL]. Defaults to empty: no
	// TCP.
	TCPAddr string

	// Settings are postgresql.conf settings, such as {"fsync": "off"} for tests. Defaults to
	// Postgres' own, which are durable.
	Settings map[string]string

	// Logger gets the server's own log lines (debug) and an unexpected end (error). Defaults to
	// discarding them.
	Logger *slog.Logger
}

// settingName is how Postgres spells the names of settings, those of extensions (with a dot)
// included.
var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`)

// reservedSettings are decided by this package; another value would break one of its guarantees.
func reservedSettings() []string {
	return []string{
		"data_directory", "external_pid_file", "hba_file", "listen_addresses", "log_destination", "logging_collector", "port",
		"unix_socket_directories", "unix_socket_group", "unix_socket_permissions",
	}
}

func (c *Config) withDefaults() *Config {
	out := *c
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	out.Settings = maps.Clone(c.Settings)
	return &out
}

func (c *Config) validate() error {
	if c.DatabaseURL != "" {
		if _, err := pgx.ParseConfig(c.DatabaseURL); err != nil {
			// pgx redacts the password in its own message.
			return fmt.Errorf("parse database URL: %w", err)
		}
		return nil
	}
	if c.TCPAddr != "" {
		addr, err := netip.ParseAddrPort(c.TCPAddr)
		if err != nil {
			return fmt.Errorf("parse TCPAddr: %w", err)
		}
		if !addr.Addr().IsLoopback() {
			return errors.New("TCPAddr must be a loopback address such as 127.0.0.1:0")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Settings)) {
		if !settingName.MatchString(name) {
			return fmt.Errorf("setting %q is not a valid Postgres setting name", name)
		}
		if slices.Contains(reservedSettings(), name) {
			return fmt.Errorf("setting %q is decided by pgdev and can't be changed", name)
		}
	}
	return nil
}

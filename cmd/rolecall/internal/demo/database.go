package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/pgdev"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/store"
)

// startPostgres sets the URL of a migrated database that holds no earlier world, in the settings as
// well.
func (d *Demo) startPostgres(ctx context.Context, o Options, cfg *config.Config, logger *slog.Logger) error {
	for _, url := range []string{cfg.DatabaseURL, cfg.DirectURL()} {
		if err := o.refuseRemote(url); err != nil {
			return err
		}
	}
	server, err := o.openServer(ctx, cfg.DatabaseURL, logger)
	if err != nil {
		return err
	}
	d.server = server
	d.cleanup.Add("Postgres", server.Stop)
	where := "in DATABASE_URL (is it in .env?)"
	if cfg.DatabaseURL == "" {
		d.data = server.DataDir()
		where = "in the folder " + d.data
		if err := createDatabase(ctx, server.URL("postgres")); err != nil {
			return err
		}
		useDatabase(cfg, server.URL(databaseName))
	}
	if err := renew(ctx, cfg.DirectURL(), where); err != nil {
		return err
	}
	d.DatabaseURL = cfg.DatabaseURL
	return database.MigrateURL(ctx, cfg.DirectURL())
}

// useDatabase lets the service use a database of dev's own. What the settings say of another one no
// longer counts.
func useDatabase(cfg *config.Config, url string) {
	cfg.DatabaseURL, cfg.ReadDatabaseURL, cfg.DirectDatabaseURL, cfg.ReplicaURLs, cfg.MaxConnections = url, "", "", nil, 0
}

// openServer returns the given database's server. Without one, it starts a server in the asked
// folder, or else in one in the user's cache folder.
func (o Options) openServer(ctx context.Context, databaseURL string, logger *slog.Logger) (*pgdev.Server, error) {
	if databaseURL != "" || o.Data != "" {
		return pgdev.Start(ctx, pgdev.Config{DatabaseURL: databaseURL, DataDir: o.Data, Logger: logger})
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find a folder for the database (or name one with --data): %w", err)
	}
	return startBeside(ctx, filepath.Join(cache, "rolecall", "postgres"), logger)
}

// maxFolders is how many folders are tried: as many runs of dev as anybody needs side by side.
const maxFolders = 9

// startBeside starts a server in a folder, or in the next one whose server no other process runs:
// after "postgres" comes "postgres-2".
func startBeside(ctx context.Context, folder string, logger *slog.Logger) (*pgdev.Server, error) {
	next := folder
	for n := 2; ; n++ {
		server, err := pgdev.Start(ctx, pgdev.Config{DataDir: next, Logger: logger})
		if _, used := errors.AsType[*pgdev.InUseError](err); !used || n > maxFolders {
			return server, err
		}
		next = fmt.Sprintf("%s-%d", folder, n)
	}
}

// refuseRemote keeps invented people out of a database that others may use.
func (o Options) refuseRemote(databaseURL string) error {
	if databaseURL == "" || o.Remote {
		return nil
	}
	parsed, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return errors.New("DATABASE_URL is not a Postgres URL") // the error itself would print the URL
	}
	hosts := []string{parsed.Host}
	for _, fallback := range parsed.Fallbacks {
		hosts = append(hosts, fallback.Host)
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); host != "localhost" && !strings.HasPrefix(host, "/") && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("the database is on %s, and dev writes invented people into it: unset DATABASE_URL, or pass --remote", host)
		}
	}
	return nil
}

// databaseName is the database that dev creates on its own server.
const databaseName = "rolecall"

func createDatabase(ctx context.Context, serverURL string) error {
	conn, err := pgpool.Connect(ctx, pgpool.Config{URL: serverURL, Name: "rolecall dev", Needs: pgpool.Needs{Write: true}})
	if err != nil {
		return fmt.Errorf("connect to create the database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the connection has nothing to lose
	return store.CreateDatabase(ctx, conn, databaseName)
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/cmd/rolecall/internal/cleanup"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/pgdev"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
)

// startPostgres sets cfg.DatabaseURL to a migrated database. It returns the URL of a database that
// it started, which holds no secret; "" for a given one.
func (o Options) startPostgres(ctx context.Context, cfg *config.Config, cleanup *cleanup.Stack, logger *slog.Logger, out io.Writer) (started string, err error) {
	data := o.Data
	if data == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a folder for the database (or name one with --data): %w", err)
		}
		data = filepath.Join(cache, "rolecall", "postgres")
	}
	if err := o.refuseRemote(cfg.DatabaseURL); err != nil {
		return "", err
	}
	server, err := pgdev.Start(ctx, pgdev.Config{DatabaseURL: cfg.DatabaseURL, DataDir: data, Logger: logger})
	if err != nil {
		return "", err
	}
	cleanup.Add("Postgres", server.Stop)
	fmt.Fprintln(out, server.Description())
	if cfg.DatabaseURL == "" {
		if err := createDatabase(ctx, server.URL("postgres")); err != nil {
			return "", err
		}
		started = server.URL(databaseName)
		cfg.DatabaseURL, cfg.ReadDatabaseURL, cfg.DirectDatabaseURL = started, "", ""
	} else if err := refuseForeign(ctx, cfg.DatabaseURL); err != nil {
		return "", err
	}
	return started, database.MigrateURL(ctx, cfg.DirectURL())
}

// instancePrefix begins the ids of simulated instances. 16 hexadecimal digits follow. Clerk's own
// ids have 27 characters after ins_, and can't be mistaken for these.
const instancePrefix = "ins_dev"

var simulatedInstance = regexp.MustCompile("^" + instancePrefix + "[0-9a-f]{16}$")

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
			return fmt.Errorf("DATABASE_URL is on %s, and dev writes invented people into it: unset it, or pass --remote", host)
		}
	}
	return nil
}

// refuseForeign keeps dev out of the mirror of a real Clerk, which dev's first sweep would empty.
func refuseForeign(ctx context.Context, databaseURL string) error {
	conn, err := pgpool.Connect(ctx, pgpool.Config{URL: databaseURL, Name: "rolecall dev"})
	if err != nil {
		if refused, ok := errors.AsType[*pgpool.RefusedError](err); ok {
			return refused
		}
		return errors.New("can't connect to the database in DATABASE_URL") // the error itself could print the URL
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the connection has nothing to lose
	if err := migrations.Check(ctx, conn); errors.Is(err, migrations.ErrNoSchema) {
		return nil
	}
	known, err := store.KnownInstance(ctx, conn)
	if err != nil {
		return err
	}
	if known == "" { // nothing was ever compared, and no webhook is kept
		empty, err := store.IsEmpty(ctx, conn)
		if err != nil || empty {
			return err
		}
		known = "(unknown)"
	}
	if !simulatedInstance.MatchString(known) {
		return fmt.Errorf("the database in DATABASE_URL is the mirror of the Clerk instance %s, and dev would sweep it empty: "+
			"unset DATABASE_URL (is it in .env?), or name another database", known)
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

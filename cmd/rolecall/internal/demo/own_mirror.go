package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/progress"
	"github.com/callmine/rolecall/internal/pgdev"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
)

// instanceName matches the ids of instances that can name a folder.
var instanceName = regexp.MustCompile(`^ins_[A-Za-z0-9]{1,64}$`)

// startPostgres starts a server on the instance's own folder, and opens the migrated mirror.
func (o *Own) startPostgres(ctx context.Context, options OwnOptions, logger *slog.Logger) error {
	folder := options.Data
	if folder == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("find a folder for the database (or name one with --data): %w", err)
		}
		if !instanceName.MatchString(o.instance.ID) {
			return fmt.Errorf("the instance's id %q can't name a folder: name one with --data", o.instance.ID)
		}
		folder = filepath.Join(cache, "rolecall", "clerk-"+o.instance.ID)
	}
	server, err := pgdev.Start(ctx, pgdev.Config{DataDir: folder, Logger: logger})
	if err != nil {
		return err
	}
	o.server = server
	o.cleanup.Add("Postgres", server.Stop)
	if err := createDatabase(ctx, server.URL("postgres")); err != nil {
		return err
	}
	o.data, o.DatabaseURL = server.DataDir(), server.URL(databaseName)
	o.cfg.DatabaseURL = o.DatabaseURL
	if err := refuseOther(ctx, o.DatabaseURL, o.instance.ID); err != nil {
		return err
	}
	if err := database.MigrateURL(ctx, o.DatabaseURL); err != nil {
		return err
	}
	if o.db, err = database.Open(ctx, o.cfg, "dev", database.SweepNeeds()); err != nil {
		return err
	}
	o.cleanup.Add("the feed's connections", func(context.Context) error { o.db.Close(); return nil })
	return nil
}

// refuseOther keeps the mirror of one instance from that of another, and from the simulated worlds
// of `rolecall dev`.
func refuseOther(ctx context.Context, databaseURL, instanceID string) error {
	conn, err := pgpool.Connect(ctx, pgpool.Config{URL: databaseURL, Name: "rolecall dev"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the connection has nothing to lose
	if nothing, err := neverMigrated(ctx, conn); nothing || err != nil {
		return err
	}
	all, err := instancesOf(ctx, conn)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		empty, err := store.IsEmpty(ctx, conn)
		if err != nil || empty {
			return err
		}
		all = []string{"(unknown)"}
	}
	if all[0] != instanceID || len(all) > 1 {
		return fmt.Errorf("the folder holds the mirror of the Clerk instance %s, and CLERK_SECRET_KEY is of %s: name another folder with --data",
			strings.Join(all, " and "), instanceID)
	}
	return nil
}

// filled says what the mirror holds since it was filled.
type filled struct {
	asOf   time.Time     // of the last sweep that went through
	took   time.Duration // how long that sweep lasted
	report sweep.Report
}

// fill fills the mirror from Clerk and shows how far it is. If an earlier run has filled it, the
// service's first sweep brings the changes since then.
func (o *Own) fill(ctx context.Context, errs io.Writer) error {
	if found, err := o.lastSweep(ctx); found || err != nil {
		return err
	}
	fmt.Fprintf(errs, "Reading %s from Clerk, which takes a fifth of its rate limit at most.\n", o.instance.ID)
	display := progress.New(errs, min(logLevel(o.cfg), slog.LevelInfo), o.cfg.LogHandler(config.LogText))
	sweeper, err := sweep.New(sweep.Config{
		Pool: o.db.Pool, Clerk: o.clerk, Billing: o.clerk.Billing, InstanceID: o.instance.ID, MaxRemovalRatio: o.cfg.MaxRemovalRatio, Logger: display.Logger,
	})
	if err != nil {
		return err
	}
	report, err := sweeper.Run(ctx, sweep.Options{Trigger: sweep.TriggerCommand, Progress: display.Show})
	display.End()
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(errs, "The mirror isn't filled yet: the next start continues where this one stopped, within an hour.")
		return ctx.Err()
	case errors.Is(err, sweep.ErrUnreadable): // all else is there, and the log names them
	case report.Aborted && report.Reason != sweep.ReasonReadsBehind:
		return fmt.Errorf("filling the mirror stopped (%s): %s: %s. The next start continues where it stopped",
			report.Reason, report.Detail, health.AdviceFor(report.Reason))
	case err != nil:
		return fmt.Errorf("fill the mirror from Clerk: %w", err)
	}
	_, err = o.lastSweep(ctx)
	return err
}

// lastSweep notes the last sweep that went through, and reports whether there is one.
func (o *Own) lastSweep(ctx context.Context) (bool, error) {
	last, err := health.LastThrough(ctx, o.db)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	o.filled.asOf = last.StartedAt
	if last.FinishedAt != nil {
		o.filled.took = last.FinishedAt.Sub(last.StartedAt)
	}
	o.filled.report, err = sweep.ReadReport(last)
	return true, err
}

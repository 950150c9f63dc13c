package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
)

type replayDeliveries struct {
	filters

	IDs  []string `arg:"" optional:"" name:"svix-id" help:"The svix-ids (msg_…)."`
	JSON bool     `name:"json" help:"Print a JSON list."`
}

func (c *replayDeliveries) run(ctx context.Context, io streams) error {
	if len(c.IDs) > 0 == c.given() {
		return usageError("say which deliveries to replay: by their svix-ids, or by filters such as --state quarantined")
	}
	return withDatabase(ctx, func(cfg config.Config, db database.DB) error {
		ids, err := c.ids(ctx, db)
		if err != nil {
			return err
		}
		instance, err := database.Instance(ctx, cfg, db)
		if err != nil {
			return err
		}
		results, err := jobs.Replay(ctx, db.Pool, instance, ids)
		if err != nil {
			return err
		}
		if c.JSON {
			err = printJSON(io.out, append([]jobs.Replayed{}, results...)) // a list, also if it is empty
		} else {
			err = printReplayed(io.out, results)
		}
		return firstError(func() error { return err }, func() error { return allReplayed(results) })
	})
}

// ids returns the given svix-ids, or those of all deliveries that the filters select.
func (c *replayDeliveries) ids(ctx context.Context, db database.DB) ([]string, error) {
	if len(c.IDs) > 0 {
		return c.IDs, nil
	}
	filter, err := c.filter(ctx, db)
	if err != nil {
		return nil, err
	}
	filter.Limit = math.MaxInt32 // all that match: a limit would skip some silently
	rows, err := store.LedgerRows(ctx, db, filter)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.SvixID
	}
	return ids, nil
}

// printReplayed prints the result for each delivery.
func printReplayed(out io.Writer, results []jobs.Replayed) error {
	var text strings.Builder
	for _, r := range results {
		if r.Enqueued {
			fmt.Fprintln(&text, line(r.SvixID), "enqueued")
		} else {
			fmt.Fprintln(&text, line(r.SvixID), "not replayed:", line(r.Why))
		}
	}
	if _, err := io.WriteString(out, text.String()); err != nil {
		return fmt.Errorf("print what was replayed: %w", err)
	}
	return nil
}

// allReplayed returns an error if any delivery was not replayed, or none was asked for.
func allReplayed(results []jobs.Replayed) error {
	if len(results) == 0 {
		return errors.New("no delivery matches")
	}
	refused := 0
	for _, r := range results {
		if !r.Enqueued {
			refused++
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d deliveries were not replayed", refused, len(results))
	}
	return nil
}

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/store"
)

// mostListed is how many items a page of a list has at most.
const mostListed = 1000

// pageLength is how many items a command lists at most.
type pageLength int

// UnmarshalText implements [encoding.TextUnmarshaler]: the parser then refuses wrong values.
func (n *pageLength) UnmarshalText(text []byte) error {
	length, err := strconv.Atoi(string(text))
	if err != nil || length < 1 || length > mostListed {
		return fmt.Errorf("%q is no number from 1 to %d", text, mostListed)
	}
	*n = pageLength(length)
	return nil
}

// cursor is a place in a list: an item's text and instant, by which the list is ordered. The zero
// cursor is before the first item.
type cursor struct {
	at   time.Time
	text string
	list string // whose place it is, as [listPages.ordered] names it; set where cursors are printed and read
}

// String returns the cursor as commands print it.
func (c cursor) String() string {
	if c == (cursor{}) {
		return ""
	}
	at := ""
	if !c.at.IsZero() {
		at = strconv.FormatInt(c.at.UnixMicro(), 10)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(c.list + ":" + at + ":" + c.text))
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *cursor) UnmarshalText(text []byte) error {
	decoded, err := base64.RawURLEncoding.DecodeString(string(text))
	list, place, named := strings.Cut(string(decoded), ":")
	at, rest, ok := strings.Cut(place, ":")
	*c = cursor{text: rest, list: list}
	if at != "" && err == nil {
		var micros int64
		micros, err = strconv.ParseInt(at, 10, 64)
		c.at = time.UnixMicro(micros).UTC()
	}
	if err != nil || !named || !ok || list == "" {
		return fmt.Errorf("%q is no cursor: give the one that the page before printed", text)
	}
	return nil
}

// paging are the flags of a list that may be long.
type paging struct {
	Limit pageLength `default:"50" help:"List at most this many, 1 to 1000."`
	After cursor     `placeholder:"CURSOR" xor:"after" help:"Continue here: a page that isn't the last one prints this cursor."`
	All   bool       `xor:"all" help:"List all, whatever their number."`
}

// pageReader reads at most limit items after a cursor. next is the cursor after them; zero at the
// end of the list.
type pageReader[T any] func(after cursor, limit int) (items []T, next cursor, err error)

// listAll prints the page that the flags want, or all pages.
func listAll[T any](to streams, pages *listPages[T], flags paging, read pageReader[T]) error {
	limit := int(flags.Limit)
	if flags.All {
		limit = mostListed
	}
	after := flags.After
	if after != (cursor{}) && after.list != pages.ordered() {
		return errOtherList
	}
	for {
		after.list = ""
		items, next, err := read(after, limit)
		if err != nil {
			return err
		}
		if err := pages.add(items); err != nil {
			return err
		}
		if flags.All && next != (cursor{}) {
			after = next
			continue
		}
		if next != (cursor{}) {
			next.list = pages.ordered()
		}
		return errors.Join(pages.end(next.String()), sayMore(to.err, pages.as, next))
	}
}

// lookingAhead returns a reader that finds the end of a list by asking for one more item. position
// returns an item's place in the list.
func lookingAhead[T any](read func(after cursor, limit int) ([]T, error), position func(T) cursor) pageReader[T] {
	return func(after cursor, limit int) ([]T, cursor, error) {
		items, err := read(after, limit+1)
		if err != nil || len(items) <= limit {
			return items, cursor{}, err
		}
		return items[:limit], position(items[limit-1]), nil
	}
}

// sayMore says how to see the rest of a list, if there is one. JSON says that itself.
func sayMore(out io.Writer, as listFormat, after cursor) error {
	if as.JSON || after == (cursor{}) {
		return nil
	}
	_, err := fmt.Fprintf(out, "There may be more: add --all, or --after %s\n", after)
	return err
}

// pollEvery is how often a follower looks for new rows.
const pollEvery = time.Second

// follow calls next now and again, in snapshots, until the command is interrupted.
func follow(ctx context.Context, db database.DB, next func(store.DBTX) error) error {
	polls := time.NewTicker(pollEvery)
	defer polls.Stop()
	for {
		if err := db.Snapshot(ctx, next); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-polls.C:
		}
	}
}

// asFollowed returns the error of a list. One that is followed runs until it is interrupted, even
// if that happens before its first item.
func asFollowed(followed bool, err error) error {
	if followed {
		return untilStopped(err)
	}
	return err
}

// usageError is a wrong command line that the parser doesn't notice.
func usageError(text string) error {
	return &codedError{exitUsage, errors.New(text)}
}

// errOtherList says that a cursor was printed for another list.
var errOtherList = usageError("--after: the cursor belongs to another list")

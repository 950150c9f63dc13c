package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type eraseCommand struct {
	User   string   `arg:"" help:"The user's id (user_…)."`
	Also   []string `sep:"none" placeholder:"TEXT" help:"A further text that stands for the person, such as a former address, a nickname, or what an earlier erasure has forgotten. May be repeated."`
	DryRun bool     `help:"Erase nothing; show what would go."`
	Yes    bool     `help:"Don't ask."`
	Force  bool     `help:"Also if the user still exists at Clerk. Clerk keeps the name then, but the mirror shows none any more."`
	JSON   bool     `name:"json" help:"Print a JSON object."`
}

// shownErasure is an erasure as the command prints it.
type shownErasure struct {
	jobs.Erasure

	Remains []string `json:"remains"` // what stays, and why
}

// remains says what an erasure leaves, and why.
func remains() []string {
	return []string{
		"ids, roles and times of the user, memberships and invitations: decisions, access reviews and the audit log rest on them",
		"hashes of erased entries and bodies: they show tampering; a reader who knows the whole text already can recognize its hash",
		"dead rows, until Postgres vacuums them; write-ahead log, replicas and backups, until they expire",
		"log lines of Rolecall and of proxies, and copies that services or exports made",
		"what Clerk keeps",
	}
}

func (c *eraseCommand) run(ctx context.Context, io streams) error {
	if !strings.HasPrefix(c.User, string(clerksync.UserPrefix)) {
		return usageError("say whom to erase by the id (user_…): `rolecall user` finds it")
	}
	return withDatabase(ctx, func(_ config.Config, db database.DB) error {
		would, err := c.erase(ctx, db, jobs.ErasureOptions{DryRun: true, Force: c.Force, Also: c.Also})
		if err != nil {
			return err
		}
		if c.DryRun {
			return c.print(io.out, would)
		}
		if !c.Yes {
			if err := c.confirm(io, os.Stdin, would); err != nil {
				return err
			}
		}
		done, err := c.erase(ctx, db, jobs.ErasureOptions{Force: c.Force, Also: c.Also})
		if err != nil {
			return err
		}
		return c.print(io.out, done)
	})
}

func (c *eraseCommand) erase(ctx context.Context, db database.DB, o jobs.ErasureOptions) (jobs.Erasure, error) {
	done, err := jobs.Erase(ctx, db.Pool, c.User, o)
	switch {
	case errors.Is(err, store.ErrNotFound):
		err = fmt.Errorf("the mirror doesn't know %s", c.User)
	case errors.Is(err, jobs.ErrNotGone):
		err = fmt.Errorf("%s: %w: delete the user there first, or say --force", c.User, err)
	}
	return done, err
}

// confirm asks on a terminal for the id.
func (c *eraseCommand) confirm(io streams, in *os.File, would jobs.Erasure) error {
	if !term.IsTerminal(int(in.Fd())) {
		return usageError("an erasure can't be undone: look at --dry-run first, then say --yes")
	}
	if err := (&eraseCommand{}).print(io.err, would); err != nil {
		return err
	}
	fmt.Fprint(io.err, "\nThis can't be undone. Type the user's id to go on: ")
	return c.answered(in)
}

// answered returns an error unless the id is typed.
func (c *eraseCommand) answered(in io.Reader) error {
	typed, err := bufio.NewReader(in).ReadString('\n')
	if strings.TrimSpace(typed) != c.User {
		return errors.Join(errors.New("nothing was erased: that isn't "+c.User), ignoreEOF(err))
	}
	return nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (c *eraseCommand) print(out io.Writer, e jobs.Erasure) error {
	if c.JSON {
		return printJSON(out, shownErasure{e, remains()})
	}
	what := "erased"
	if e.DryRun {
		what = "would be erased"
	}
	facts := newTable(out)
	facts.row(what, e.UserID)
	facts.row("memberships", strconv.Itoa(e.Memberships))
	facts.row("invitations", strconv.Itoa(e.Invitations))
	facts.row("bodies", strconv.Itoa(e.Bodies))
	facts.row("audit entries", strconv.Itoa(e.Entries))
	facts.row("kept answers", strconv.Itoa(e.Commands))
	facts.row("deleted workspaces", strconv.Itoa(e.Workspaces))
	if err := facts.print("erasure"); err != nil {
		return err
	}
	if e.Waiting > 0 {
		fmt.Fprintf(out, "\n%s to be applied. Their bodies go within two hours after that.\n", counted(int64(e.Waiting), "delivery waits", "deliveries wait"))
	}
	if len(e.ToCheck) > 0 {
		fmt.Fprintf(out, "\nThe name, slug or metadata of a workspace may be about the person: %s\n", strings.Join(e.ToCheck, ", "))
		if e.DryRun {
			fmt.Fprintln(out, "Change them at Clerk, and wait for the webhooks, before you erase.")
		} else {
			fmt.Fprintln(out, "Change them at Clerk, wait for the webhooks, and erase again, with --also for the text.")
		}
	}
	if _, err := fmt.Fprintf(out, "\nWhat remains:\n- %s\n", strings.Join(remains(), "\n- ")); err != nil {
		return fmt.Errorf("print erasure: %w", err)
	}
	return nil
}

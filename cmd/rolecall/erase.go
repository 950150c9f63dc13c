package main

import (
	"bufio"
	"cmp"
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
	"github.com/callmine/rolecall/internal/regular"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type eraseCommand struct {
	Person   string   `arg:"" help:"The user's id (user_…), or that of an invitation (orginv_…) to somebody who never became a user."`
	Also     []string `sep:"none" placeholder:"TEXT" help:"A further text that stands for the person, such as a former address, a nickname, or what an earlier erasure has forgotten. May be repeated. Shells and lists of processes show it: see --also-from."`
	AlsoFrom string   `type:"path" placeholder:"FILE" help:"A file of such texts, one a line; - reads standard input."`
	DryRun   bool     `help:"Erase nothing; show what would go."`
	Yes      bool     `help:"Don't ask."`
	Force    bool     `help:"Also if the user still exists at Clerk, or an invitation is pending there. Clerk keeps the name and the address then, but the mirror shows none any more."`
	JSON     bool     `name:"json" help:"Print a JSON object."`
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
	if !strings.HasPrefix(c.Person, clerksync.UserPrefix) && !strings.HasPrefix(c.Person, clerksync.InvitationPrefix) {
		return usageError("say whom to erase by the id (user_…): `rolecall user` finds it. Somebody who was only invited has the id of an invitation (orginv_…)")
	}
	if err := c.readAlso(os.Stdin); err != nil {
		return err
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

const (
	fromStdin = "-"
	// mostAlso bounds the texts of --also-from, in bytes.
	mostAlso = 1 << 20
)

// readAlso adds the texts of --also-from.
func (c *eraseCommand) readAlso(in io.Reader) (err error) {
	var texts []byte
	switch c.AlsoFrom {
	case "":
		return nil
	case fromStdin:
		if !c.Yes && !c.DryRun {
			return usageError("--also-from - takes standard input, so nothing can be asked: look at --dry-run first, then say --yes")
		}
		texts, err = io.ReadAll(io.LimitReader(in, mostAlso+1))
		if len(texts) > mostAlso {
			err = fmt.Errorf("it has more than %d bytes", mostAlso)
		}
	default:
		texts, err = regular.Read(c.AlsoFrom, mostAlso)
	}
	if err != nil {
		return fmt.Errorf("read --also-from: %w", err)
	}
	for text := range strings.Lines(strings.TrimPrefix(string(texts), "\ufeff")) { // some editors begin files with that mark
		if text = strings.TrimSpace(text); text != "" {
			c.Also = append(c.Also, text)
		}
	}
	return nil
}

func (c *eraseCommand) erase(ctx context.Context, db database.DB, o jobs.ErasureOptions) (jobs.Erasure, error) {
	done, err := jobs.Erase(ctx, db.Pool, c.Person, o)
	switch {
	case errors.Is(err, store.ErrNotFound):
		err = fmt.Errorf("the mirror doesn't know %s", c.Person)
	case errors.Is(err, jobs.ErrNotGone):
		err = fmt.Errorf("%s: %w: delete the user there first, or say --force", c.Person, err)
	case errors.Is(err, jobs.ErrPending):
		err = fmt.Errorf("%s: %w: revoke it there first, or say --force", c.Person, err)
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
	fmt.Fprint(io.err, "\nThis can't be undone. Type the id to go on: ")
	return c.answered(in)
}

// answered returns an error unless the id is typed.
func (c *eraseCommand) answered(in io.Reader) error {
	typed, err := bufio.NewReader(in).ReadString('\n')
	if strings.TrimSpace(typed) != c.Person {
		return errors.Join(errors.New("nothing was erased: that isn't "+c.Person), ignoreEOF(err))
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
	facts.row(what, cmp.Or(e.UserID, e.Invitation))
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
			fmt.Fprintln(out, "Change them at Clerk, wait for the webhooks, and erase again, with --also-from for the text.")
		}
	}
	if _, err := fmt.Fprintf(out, "\nWhat remains:\n- %s\n", strings.Join(remains(), "\n- ")); err != nil {
		return fmt.Errorf("print erasure: %w", err)
	}
	return nil
}

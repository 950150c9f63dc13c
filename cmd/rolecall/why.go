package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/callmine/rolecall/api"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type whyCommand struct {
	User       string `arg:"" help:"Who: an id (user_…), an e-mail address or a name."`
	Workspace  string `arg:"" help:"Where: an id (org_…), a slug or a name."`
	Permission string `arg:"" optional:"" help:"What: a permission, such as billing:manage. Without one, membership alone."`
	JSON       bool   `name:"json" help:"Print a JSON object, as POST /v1/explain answers."`
}

// run prints the answer. A refusal is an answer, too: the exit code is 0.
func (c *whyCommand) run(ctx context.Context, io streams) error {
	return withDatabase(ctx, func(cfg config.Config, db database.DB) error {
		read, err := cfg.Policy(ctx)
		configured := support.Configured(cfg.PolicySource(), read, err)
		var answer support.WhyAnswer
		err = db.Snapshot(ctx, func(db store.DBTX) (err error) {
			answer, err = support.Why(ctx, db, support.WhyQuestion{User: c.User, Workspace: c.Workspace, Permission: c.Permission}, configured)
			return err
		})
		switch {
		case err != nil:
			return err
		case c.JSON:
			for _, note := range answer.Notes {
				fmt.Fprintln(io.err, line(note))
			}
			return printJSON(io.out, api.NewReasoning(answer.Reasoning))
		default:
			return printWhy(io.out, answer)
		}
	})
}

// whyWidth is the width of a terminal for which facts are wrapped.
const whyWidth = 80

// printWhy prints the sentence first, then a fact after the other, then what would change the
// answer.
func printWhy(out io.Writer, a support.WhyAnswer) error {
	var text strings.Builder
	text.WriteString(wrap(line(a.Sentence()), "") + "\n\n")
	for _, f := range a.Reasoning.Facts {
		mark := "–"
		if f.Holds {
			mark = "✓"
		} else if f.Fails() {
			mark = "✗"
		}
		text.WriteString(wrap(fmt.Sprintf("%s %-13s  %s", mark, f.Name, line(f.Detail)), strings.Repeat(" ", 17)) + "\n")
		if from := originWords(f); from != "" {
			text.WriteString(strings.Repeat(" ", 17) + from + "\n")
		}
	}
	if c := a.Reasoning.Change; c != nil {
		text.WriteString("\n" + wrap("What would change the answer: "+line(c.Words)+".", "") + "\n")
	} else if !a.Reasoning.Decision.Allowed {
		text.WriteString("\nNo single change would turn the answer round.\n")
	}
	for _, note := range a.Notes {
		text.WriteString("\n" + wrap("NOTE: "+line(note), "") + "\n")
	}
	if _, err := io.WriteString(out, text.String()); err != nil {
		return fmt.Errorf("print answer: %w", err)
	}
	return nil
}

// originWords says since when something is so, and by what.
func originWords(f clerksync.Fact) string {
	var words []string
	if !f.Since.IsZero() {
		words = append(words, support.SinceWord(f)+" "+health.Instant(f.Since))
	}
	if f.Cause != "" && f.Cause != clerksync.CausePolicy {
		words = append(words, line(f.Cause))
	}
	return strings.Join(words, ", ")
}

// wrap breaks a text between words, so that lines fit into a terminal. Each further line begins
// with the indent. A single word that is too long stays whole: it may be an id.
func wrap(text, indent string) string {
	var wrapped strings.Builder
	width := 0
	for i, word := range strings.SplitAfter(text, " ") {
		n := len([]rune(strings.TrimRight(word, " ")))
		if i > 0 && width+n > whyWidth && width > len(indent) {
			wrapped.WriteString("\n" + indent)
			width = len(indent)
		}
		wrapped.WriteString(word)
		width += len([]rune(word))
	}
	return strings.ReplaceAll(wrapped.String(), " \n", "\n")
}

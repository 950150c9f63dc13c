package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/internal/clerkapi"
)

type doctorCommand struct {
	JSON    bool `name:"json" help:"Print a JSON object."`
	Web     bool `default:"true" negatable:"" help:"Examine what a serve with a web side needs."`
	Workers bool `default:"true" negatable:"" help:"Examine what a serve with workers needs."`
}

// verdict is how something was found to be.
type verdict string

// The verdicts. A wrong finding keeps Rolecall from its work, a warning doesn't.
const (
	verdictOK      verdict = "ok"
	verdictWarning verdict = "warning"
	verdictWrong   verdict = "wrong"
)

// finding is one thing that was looked at.
type finding struct {
	Check  string  `json:"check"`
	State  verdict `json:"state"`
	Detail string  `json:"detail"`
	Cure   string  `json:"cure,omitempty"` // what to do, unless it is ok
}

func fine(check, format string, args ...any) finding {
	return finding{Check: check, State: verdictOK, Detail: fmt.Sprintf(format, args...)}
}

func doubtful(check, cure, format string, args ...any) finding {
	return finding{Check: check, State: verdictWarning, Detail: fmt.Sprintf(format, args...), Cure: cure}
}

func bad(check, cure, format string, args ...any) finding {
	return finding{Check: check, State: verdictWrong, Detail: fmt.Sprintf(format, args...), Cure: cure}
}

// examination is what `rolecall doctor --json` prints. Todo has the most urgent first.
type examination struct {
	OK     bool      `json:"ok"` // nothing is wrong
	Checks []finding `json:"checks"`
	Todo   []string  `json:"todo"`
}

// examinationTimeout bounds each look at something that may not answer.
const examinationTimeout = 5 * time.Second

// run looks at everything that a serve with this environment would meet. It changes nothing.
func (c *doctorCommand) run(ctx context.Context, io streams) error {
	which := parts{web: c.Web, workers: c.Workers}
	cfg, warnings, err := readServing(ctx, which)
	d := &doctor{cfg: cfg, which: which}
	defer d.close()
	e := examinationOf(append(settingsFindings(warnings, err), d.examine(ctx)...))
	if c.JSON {
		err = printJSON(io.out, e)
	} else {
		err = e.print(io.out)
	}
	if err == nil && !e.OK {
		err = errors.New("something is wrong: what to do is above")
	}
	return err
}

// doctor looks at one thing after the other, those that have nothing to do with each other at once.
type doctor struct {
	cfg   config
	which parts

	db    *pgxpool.Pool    // nil until the database was reached
	clerk *clerkapi.Client // nil without a secret key
}

func (d *doctor) close() {
	if d.db != nil {
		d.db.Close()
	}
	if d.clerk != nil {
		d.clerk.Close()
	}
}

// examine returns what it finds, what everything else stands on first.
func (d *doctor) examine(ctx context.Context) []finding {
	d.clerk, _ = d.openClerk() // the settings' findings tell why there is none
	groups := []func(context.Context) []finding{
		d.database, d.otherDatabases, d.keys, d.clerkLists, d.addresses,
	}
	found := make([][]finding, len(groups))
	var looking sync.WaitGroup
	for i, look := range groups {
		looking.Go(func() { found[i] = look(ctx) })
	}
	looking.Wait()
	return append(slices.Concat(found...), d.mirror(ctx)...)
}

// timed bounds one look.
func timed(ctx context.Context, look func(context.Context) []finding) []finding {
	ctx, cancel := context.WithTimeout(ctx, examinationTimeout)
	defer cancel()
	return look(ctx)
}

func (d *doctor) openClerk() (*clerkapi.Client, error) {
	if d.cfg.SecretKey == "" {
		return nil, errors.New("there is no secret key")
	}
	const enough = 50 // calls a second: a few are made at once, and never again
	return clerkapi.New(clerkapi.Config{
		URL: d.cfg.APIURL, SecretKey: d.cfg.SecretKey, CallsPerSecond: enough, Logger: slog.New(slog.DiscardHandler),
	})
}

// settingsFindings tells the faults of the environment and of the policy file.
func settingsFindings(warnings []string, err error) []finding {
	var found []finding
	for _, fault := range faultsOf(err) {
		found = append(found, bad("settings", "correct it: "+fault, "%s", fault))
	}
	for _, warning := range warnings {
		found = append(found, doubtful("settings", "correct or remove it: "+warning, "%s", warning))
	}
	if len(found) == 0 {
		found = append(found, fine("settings", "all that are set can be right"))
	}
	return found
}

// faultsOf takes a joined error apart.
func faultsOf(err error) []string {
	if err == nil {
		return nil
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var all []string
		for _, one := range several.Unwrap() {
			all = append(all, faultsOf(one)...)
		}
		return all
	}
	return []string{err.Error()}
}

func examinationOf(found []finding) examination {
	e := examination{OK: true, Checks: found, Todo: []string{}}
	for i := range found {
		found[i].Detail, found[i].Cure = onOneLine(found[i].Detail), onOneLine(found[i].Cure)
	}
	for _, state := range []verdict{verdictWrong, verdictWarning} {
		for _, f := range found {
			if f.State == state {
				e.OK = e.OK && state != verdictWrong
				if todo := f.Check + ": " + f.Cure; !slices.Contains(e.Todo, todo) {
					e.Todo = append(e.Todo, todo)
				}
			}
		}
	}
	return e
}

// print tells people.
func (e examination) print(out io.Writer) error {
	table := newTable(out)
	for _, f := range e.Checks {
		table.row(string(f.State), f.Check, f.Detail)
	}
	if err := table.print("examination"); err != nil {
		return err
	}
	if len(e.Todo) == 0 {
		fmt.Fprintln(out, "\nThere is nothing to do.")
		return nil
	}
	fmt.Fprintln(out, "\nWhat to do, the most urgent first:")
	for i, todo := range e.Todo {
		fmt.Fprintf(out, "%3d. %s\n", i+1, line(todo))
	}
	return nil
}

// onOneLine puts a text of others onto one line.
func onOneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

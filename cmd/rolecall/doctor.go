package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/doctor"
)

type doctorCommand struct {
	JSON    bool `name:"json" help:"Print a JSON object."`
	Web     bool `default:"true" negatable:"" help:"Examine the needs of a serve with a web side."`
	Workers bool `default:"true" negatable:"" help:"Examine the needs of a serve with workers."`
}

// run examines everything that a serve with this environment depends on. It changes nothing.
func (c *doctorCommand) run(ctx context.Context, io streams) error {
	which := config.Parts{Web: c.Web, Workers: c.Workers}
	cfg, warnings, err := config.ReadServing(ctx, which)
	e := doctor.Examine(ctx, cfg, which, warnings, err)
	if c.JSON {
		err = printJSON(io.out, e)
	} else {
		err = printExamination(io.out, e)
	}
	if err == nil && !e.OK {
		err = errors.New("something is wrong: the list above says what to do")
	}
	return err
}

// printExamination prints the findings as a table, and the to-do list below it.
func printExamination(out io.Writer, e doctor.Examination) error {
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

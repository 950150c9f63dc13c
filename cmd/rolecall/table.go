package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table prints aligned columns for people. A cell is one line, whatever was put into it: no name
// makes a row of its own.
type table struct{ out *tabwriter.Writer }

func newTable(out io.Writer) table { return table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)} }

// row adds a row.
func (t table) row(cells ...string) {
	for i := range cells {
		cells[i] = line(cells[i])
	}
	fmt.Fprintln(t.out, strings.Join(cells, "\t")) // what fails is told by print
}

// print writes all rows.
func (t table) print(what string) error {
	if err := t.out.Flush(); err != nil {
		return fmt.Errorf("print %s: %w", what, err)
	}
	return nil
}

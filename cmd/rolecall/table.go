package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table prints aligned columns for people. Each cell is one line: no name can forge a row.
type table struct{ out *tabwriter.Writer }

func newTable(out io.Writer) table { return table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)} }

// row adds a row.
func (t table) row(cells ...string) {
	for i := range cells {
		cells[i] = line(cells[i])
	}
	fmt.Fprintln(t.out, strings.Join(cells, "\t")) // print returns the error
}

// print writes all rows.
func (t table) print(what string) error {
	if err := t.out.Flush(); err != nil {
		return fmt.Errorf("print %s: %w", what, err)
	}
	return nil
}

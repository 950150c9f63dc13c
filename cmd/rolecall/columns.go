package main

import (
	"bytes"
	"cmp"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rivo/uniseg"
	"golang.org/x/term"

	"github.com/callmine/rolecall/cmd/rolecall/internal/visible"
)

// columnKind says how a column of a table gives way when the terminal is narrow.
type columnKind int

const (
	whole     columnKind = iota // is never cut: ids, instants, roles
	number                      // is never cut, and aligned to the right
	text                        // is cut where there is no room: names, errors
	onlyData                    // isn't in the table, only in CSV
	onlyTable                   // isn't in CSV, and is cut like text
)

// column is a column of a list.
type column[T any] struct {
	name  string // in snake case, as CSV has it
	title string // as the table has it; "" if that is the same
	kind  columnKind
	cell  func(T) string // as CSV has it; nil for onlyTable
	shown func(T) string // as the table has it; nil if that is the same
}

// cuts reports whether the column's cells are cut where there is no room.
func (c column[T]) cuts() bool { return c.kind == text || c.kind == onlyTable }

// instantColumn returns a column of instants: exact for programs, in seconds for people. A cell is
// empty if there is none.
func instantColumn[T any](name string, kind columnKind, at func(T) *time.Time) column[T] {
	in := func(layout string) func(T) string {
		return func(item T) string {
			if at := at(item); at != nil && !at.IsZero() {
				return at.UTC().Format(layout)
			}
			return ""
		}
	}
	return column[T]{name: name, kind: kind, cell: in(time.RFC3339Nano), shown: in(time.RFC3339)}
}

// dayColumn returns a column of instants: exact for programs, days for people.
func dayColumn[T any](name string, at func(T) *time.Time) column[T] {
	c := instantColumn(name, whole, at)
	exact := c.cell
	c.shown = func(item T) string {
		day, _, _ := strings.Cut(exact(item), "T")
		return day
	}
	return c
}

const (
	usualWidth = 80 // of a terminal, and where the width isn't known
	leastWidth = 40 // a table takes at least so much
	leastText  = 16 // columns that a cut column keeps
	gap        = 2  // columns between two columns, and before the second line of an item
)

// headerOf returns the header of a list's CSV.
func headerOf[T any](all []column[T]) (names []string) {
	for _, c := range all {
		if c.kind != onlyTable {
			names = append(names, c.name)
		}
	}
	return names
}

// recordOf returns an item's record in CSV. A line break is escaped: each item is one line.
func recordOf[T any](all []column[T], item T) (cells []string) {
	for _, c := range all {
		if c.kind != onlyTable {
			cells = append(cells, line(c.cell(item)))
		}
	}
	return cells
}

// columns lays items out as a table that is no wider than the terminal. If the columns of an item
// need more room, the later ones move to a second, indented line. Only columns of the kind text are
// cut. Columns without any content are left out.
type columns[T any] struct {
	all    []column[T]
	width  int
	widths []int // of the widest cell of each column so far; 0 for none
	header string
}

// write writes items, and the header before the first ones. It repeats the header whenever an item
// made the columns wider, so that the rows below a header are aligned with it.
func (t *columns[T]) write(to *bytes.Buffer, items []T) {
	if len(items) == 0 {
		return
	}
	rows := make([][]string, len(items))
	if t.widths == nil {
		t.widths = make([]int, len(t.all))
	}
	for i, item := range items {
		rows[i] = t.cells(item)
		for j, cell := range rows[i] {
			t.widths[j] = max(t.widths[j], uniseg.StringWidth(cell))
		}
	}
	titles := make([]string, len(t.all))
	for i, c := range t.all {
		titles[i] = strings.ToUpper(strings.ReplaceAll(cmp.Or(c.title, c.name), "_", " "))
	}
	lines := t.flow(titles)
	if header := t.row(lines, titles); header != t.header {
		t.header = header
		to.WriteString(header)
	}
	for _, cells := range rows {
		to.WriteString(t.row(lines, cells))
	}
}

// cells returns what the table shows of an item.
func (t *columns[T]) cells(item T) []string {
	cells := make([]string, len(t.all))
	for i, c := range t.all {
		switch {
		case c.kind == onlyData:
		case c.shown != nil:
			cells[i] = line(c.shown(item))
		default:
			cells[i] = line(c.cell(item))
		}
	}
	return cells
}

// place is a column's place in a line.
type place struct{ column, width int }

// flow distributes the columns that have content to the lines of an item.
func (t *columns[T]) flow(titles []string) (lines [][]place) {
	spare := []int{} // of each line
	for i, widest := range t.widths {
		if widest == 0 {
			continue
		}
		least := t.natural(i, titles)
		if t.all[i].cuts() {
			least = min(least, max(leastText, uniseg.StringWidth(titles[i])))
		}
		last := len(lines) - 1
		if last < 0 || spare[last] < gap+least {
			lines, spare, last = append(lines, nil), append(spare, t.width), last+1
			if last == 0 {
				spare[last] += gap // the first line has no indent
			}
		}
		lines[last] = append(lines[last], place{i, least})
		spare[last] -= gap + least
	}
	for i, line := range lines {
		for j, at := range line {
			more := max(0, min(spare[i], t.natural(at.column, titles)-at.width)) // only of a column that is cut
			line[j].width += more
			spare[i] -= more
		}
	}
	return lines
}

// natural returns the width that a column has if there is room.
func (t *columns[T]) natural(column int, titles []string) int {
	return min(max(t.widths[column], uniseg.StringWidth(titles[column])), t.width-gap)
}

// row writes an item's lines, but for empty ones.
func (t *columns[T]) row(lines [][]place, cells []string) string {
	var row strings.Builder
	for i, places := range lines {
		var line strings.Builder
		for _, at := range places {
			cell := cells[at.column]
			if t.all[at.column].cuts() {
				cell = cut(cell, at.width)
			}
			padding := strings.Repeat(" ", max(0, at.width-uniseg.StringWidth(cell)))
			if t.all[at.column].kind == number {
				cell, padding = padding+cell, ""
			}
			line.WriteString(strings.Repeat(" ", gap) + cell + padding)
		}
		written := strings.TrimRight(line.String(), " ")
		if i == 0 {
			written = strings.TrimPrefix(written, strings.Repeat(" ", gap))
		} else if written == "" {
			continue
		}
		row.WriteString(written + "\n")
	}
	return row.String()
}

// cut shortens a text to a width. It divides no character.
func cut(text string, width int) string {
	if uniseg.StringWidth(text) <= width {
		return text
	}
	var kept strings.Builder
	used := 0
	for graphemes := uniseg.NewGraphemes(text); graphemes.Next(); {
		used += graphemes.Width()
		if used > width-1 {
			break
		}
		kept.WriteString(graphemes.Str())
	}
	return kept.String() + "…"
}

// widthOf returns the width of a stream's terminal, and the usual one for any other stream.
func widthOf(out io.Writer) int {
	file, ok := visible.Beneath(out).(*os.File)
	if !ok {
		return usualWidth
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return usualWidth
	}
	return max(width, leastWidth)
}

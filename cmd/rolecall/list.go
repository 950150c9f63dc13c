package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"

	"github.com/callmine/rolecall/internal/spreadsheet"
)

// listFormat are the flags that say how a command prints a list: as a table for people, or for
// programs in a shape that docs/commands.md promises.
type listFormat struct {
	JSON bool `name:"json" xor:"format" help:"Print a JSON object, for programs."`
	CSV  bool `name:"csv" xor:"format" help:"Print CSV with a header, for programs."`
}

// list is a list of a command: what it lists, and the columns of its table and of its CSV.
type list[T any] struct {
	name    string // of several items, such as "workspaces": also the name of the list in JSON
	columns []column[T]
}

// print prints a whole list. document is the JSON object that has the items.
func (l list[T]) print(out io.Writer, as listFormat, items []T, document any) error {
	if as.JSON {
		return printJSON(out, document)
	}
	pages := l.pages(out, as)
	if err := pages.add(items); err != nil {
		return err
	}
	return pages.end("")
}

// listPages prints a list page by page, so that no list is too long for the memory.
type listPages[T any] struct {
	list[T]

	out   io.Writer
	as    listFormat
	table columns[T]
	order string // names the items and their order in cursors, if the list's name doesn't
	lines bool   // in JSON, each item is a line, and nothing is around them
	head  any    // a struct whose members precede the items in JSON; nil for none
	held  []T    // of a table, until its columns' widths are known
	items int    // that were added
	begun bool
}

// mostHeld is how many items decide how wide a table's columns are. Those that follow may widen
// them: then the header is repeated.
const mostHeld = 1000

// pages returns a printer. Its JSON object has the items and the cursor "next", and nothing else.
func (l list[T]) pages(out io.Writer, as listFormat) *listPages[T] {
	return &listPages[T]{list: l, out: out, as: as, table: columns[T]{all: l.columns, width: widthOf(out)}}
}

// ordered names the items and their order: a cursor of another list is none of this one.
func (p *listPages[T]) ordered() string { return cmp.Or(p.order, p.name) }

// add prints further items.
func (p *listPages[T]) add(items []T) error {
	var text bytes.Buffer
	if err := p.begin(&text); err != nil {
		return err
	}
	switch {
	case p.as.JSON:
		for i, item := range items {
			if err := p.appendItem(&text, p.items+i, item); err != nil {
				return fmt.Errorf("print %s: %w", p.name, err)
			}
		}
	case p.as.CSV:
		for _, item := range items {
			if err := spreadsheet.Write(&text, recordOf(p.columns, item)...); err != nil {
				return fmt.Errorf("print %s: %w", p.name, err)
			}
		}
	case p.lines: // each is awaited
		p.table.write(&text, items)
	default:
		p.held = append(p.held, items...)
		if len(p.held) >= mostHeld {
			p.release(&text)
		}
	}
	p.items += len(items)
	return p.write(text.Bytes())
}

// release writes the items of a table that were held back.
func (p *listPages[T]) release(to *bytes.Buffer) {
	p.table.write(to, p.held)
	p.held = p.held[:0]
}

// appendItem appends an item in JSON.
func (p *listPages[T]) appendItem(to *bytes.Buffer, before int, item T) error {
	if p.lines {
		defer to.WriteByte('\n')
		return appendJSON(to, item)
	}
	if before > 0 {
		to.WriteByte(',')
	}
	to.WriteString("\n    ")
	return appendJSON(to, item)
}

// begin writes what comes before the first item.
func (p *listPages[T]) begin(to *bytes.Buffer) error {
	if p.begun {
		return nil
	}
	p.begun = true
	switch {
	case p.as.JSON && p.lines:
	case p.as.JSON:
		to.WriteString("{\n")
		if p.head != nil {
			if err := appendMembers(to, p.head); err != nil {
				return fmt.Errorf("print %s: %w", p.name, err)
			}
		}
		fmt.Fprintf(to, "  %q: [", p.name)
	case p.as.CSV:
		if err := spreadsheet.Write(to, headerOf(p.columns)...); err != nil {
			return fmt.Errorf("print %s: %w", p.name, err)
		}
	}
	return nil
}

// end prints what comes after the last item. next is the cursor of the following page; "" if there
// is none.
func (p *listPages[T]) end(next string) error {
	var text bytes.Buffer
	if err := p.begin(&text); err != nil {
		return err
	}
	switch {
	case p.as.JSON:
		if p.items > 0 {
			text.WriteString("\n  ")
		}
		text.WriteString("],\n  \"next\": ")
		if err := appendJSON(&text, orNull(next)); err != nil {
			return fmt.Errorf("print %s: %w", p.name, err)
		}
		text.WriteString("\n}\n")
	case p.as.CSV:
	case p.items == 0:
		fmt.Fprintf(&text, "no %s\n", p.name)
	default:
		p.release(&text)
	}
	return p.write(text.Bytes())
}

func (p *listPages[T]) write(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if _, err := p.out.Write(text); err != nil {
		return fmt.Errorf("print %s: %w", p.name, err)
	}
	return nil
}

// appendMembers appends the members of a struct, each followed by a comma, on one line.
func appendMembers(to *bytes.Buffer, v any) error {
	var object bytes.Buffer
	if err := appendJSON(&object, v); err != nil {
		return err
	}
	to.WriteString("  ")
	to.Write(object.Bytes()[1 : object.Len()-1])
	to.WriteString(",\n")
	return nil
}

// orNull returns nil for an empty text: JSON then has null.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// appendJSON appends a value on one line.
func appendJSON(to *bytes.Buffer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	to.Write(bytes.ToValidUTF8(text, []byte(`\ufffd`)))
	return nil
}

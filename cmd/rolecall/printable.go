package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/callmine/rolecall/cmd/rolecall/internal/visible"
)

// printable is the writer between every command and the operator's terminal. It escapes each
// invisible character, as package visible does.
type printable struct {
	mu      sync.Mutex
	out     io.Writer
	partial []byte // the first bytes of an incomplete character
}

// printed puts a printable before each stream. end flushes both.
func printed(to streams) (through streams, end func()) {
	out, errs := &printable{out: to.out}, &printable{out: to.err}
	return streams{out: out, err: errs}, func() { _ = errors.Join(out.flush(), errs.flush()) } // a closed stream shows nothing
}

// Write writes text. It holds the first bytes of a character back until the rest comes.
func (p *printable) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Concat(p.partial, text)
	whole := wholeRunes(all)
	p.partial = all[whole:]
	if _, err := p.out.Write(visible.Lines(all[:whole])); err != nil {
		return 0, err
	}
	return len(text), nil
}

// flush writes the bytes that were held back and never became a character.
func (p *printable) flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := p.partial
	p.partial = nil
	if len(rest) == 0 {
		return nil
	}
	_, err := p.out.Write(visible.Lines(rest))
	return err
}

// Beneath implements what [visible.Beneath] asks for.
func (p *printable) Beneath() io.Writer { return p.out }

// line returns foreign text as a part of one line: it escapes line breaks and tabs, too.
func line(text string) string { return visible.Line(text) }

// complain prints an error. It indents each further line, so that none looks like the program's
// own.
func complain(out io.Writer, text string) {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = line(lines[i])
	}
	fmt.Fprintln(out, "rolecall:", strings.Join(lines, "\n  "))
}

// wholeRunes returns the length of a text without an incomplete character at its end.
func wholeRunes(text []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if start := len(text) - back; utf8.RuneStart(text[start]) {
			if !utf8.FullRune(text[start:]) {
				return start
			}
			break
		}
	}
	return len(text)
}

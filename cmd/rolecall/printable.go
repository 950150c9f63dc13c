package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// printable is the writer between every command and the operator's terminal. It escapes each
// invisible character: names, ids and bodies come from others, and may hold sequences that a
// terminal obeys. Escaped JSON stays valid, and means the same.
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
	if _, err := p.out.Write(visibleLines(all[:whole])); err != nil {
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
	_, err := p.out.Write(visibleLines(rest))
	return err
}

// beneath returns the stream below a printable, on which a progress bar can draw.
func beneath(out io.Writer) io.Writer {
	if p, ok := out.(*printable); ok {
		return p.out
	}
	return out
}

// line returns foreign text as a part of one line: it escapes line breaks and tabs, too.
func line(text string) string { return string(visible([]byte(text))) }

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

// visibleLines returns a text with its invisible characters escaped, but for line breaks and tabs.
func visibleLines(text []byte) []byte {
	return escape(text, func(r rune) bool { return r == '\n' || r == '\t' || isVisible(r) })
}

// visible returns a text with its invisible characters escaped, line breaks and tabs included.
func visible(text []byte) []byte { return escape(text, isVisible) }

// escape escapes the characters of a text that may not stay, as JSON does.
func escape(text []byte, stays func(rune) bool) (to []byte) {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			to = append(to, `\ufffd`...)
		case stays(r):
			to = append(to, text[:size]...)
		case r == '\n':
			to = append(to, `\n`...)
		case r == '\t':
			to = append(to, `\t`...)
		default:
			for _, unit := range utf16.AppendRune(nil, r) {
				to = fmt.Appendf(to, `\u%04x`, unit)
			}
		}
		text = text[size:]
	}
	return to
}

// brailleBlank is a letter without dots.
const brailleBlank = '\u2800'

// isVisible reports whether a character can be seen. Controls, marks of direction, unusual spaces
// and characters of no width can't. The joiner of emoji is one of these: two names that differ must
// look different.
func isVisible(r rune) bool {
	return unicode.IsPrint(r) && r != brailleBlank && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

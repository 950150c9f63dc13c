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

// printable is the writer between every command and the operator's terminal. It spells out each
// character that can't be seen: names, ids and bodies are other people's, and a terminal obeys some
// of what they may contain. What is spelled out stays valid JSON.
type printable struct {
	mu      sync.Mutex
	out     io.Writer
	partial []byte // of a character whose end hasn't been written yet
}

// printed returns the streams with a printable before each, and what ends them.
func printed(to streams) (through streams, end func()) {
	out, errs := &printable{out: to.out}, &printable{out: to.err}
	return streams{out: out, err: errs}, func() { _ = errors.Join(out.flush(), errs.flush()) } // a stream that is gone shows nothing
}

// Write writes text, and keeps the beginning of a character back until its end comes.
func (p *printable) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Concat(p.partial, text)
	whole := wholeRunes(all)
	p.partial = all[whole:]
	if _, err := p.out.Write(visible(all[:whole], true)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// flush writes what was kept back and never became a character.
func (p *printable) flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := p.partial
	p.partial = nil
	if len(rest) == 0 {
		return nil
	}
	_, err := p.out.Write(visible(rest, true))
	return err
}

// beneath returns the stream that a writer ends in: a terminal's own, where one program draws.
func beneath(out io.Writer) io.Writer {
	if p, ok := out.(*printable); ok {
		return p.out
	}
	return out
}

// line returns a text of other people's as a part of one line: line breaks and tabs, too, are
// spelled out.
func line(text string) string { return string(visible([]byte(text), false)) }

// complain tells people what is wrong. Each further line of it is indented, so that none passes for
// one of the program's own.
func complain(out io.Writer, text string) {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = line(lines[i])
	}
	fmt.Fprintln(out, "rolecall:", strings.Join(lines, "\n  "))
}

// wholeRunes returns how much of a text is there before a character whose end is missing.
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

// visible returns a text in which everything can be seen. Line breaks and tabs stay if the text may
// have several lines.
func visible(text []byte, lines bool) (to []byte) {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			to = append(to, `\ufffd`...) // as JSON can say it
		case isVisible(r), lines && (r == '\n' || r == '\t'):
			to = append(to, text[:size]...)
		case r == '\n':
			to = append(to, `\n`...)
		case r == '\t':
			to = append(to, `\t`...)
		default:
			for _, unit := range utf16.AppendRune(nil, r) { // as JSON writes it
				to = fmt.Appendf(to, `\u%04x`, unit)
			}
		}
		text = text[size:]
	}
	return to
}

// brailleBlank is a letter without dots.
const brailleBlank = '\u2800'

// isVisible reports whether a character shows itself as what it is. Controls don't, nor what sets
// the direction of text, spaces other than the one, and characters of no width. The joiner of emoji
// is one of these: two names that look the same must not be two.
func isVisible(r rune) bool {
	return unicode.IsPrint(r) && r != brailleBlank && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

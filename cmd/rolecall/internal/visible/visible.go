// Package visible shows invisible characters of foreign text. It guarantees that its results hold
// no character that moves a cursor, hides text or turns it around: names, ids and bodies come from
// strangers. Escaped JSON stays valid, and means the same.
package visible

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line returns foreign text as a part of one line: it escapes line breaks and tabs, too.
func Line(text string) string { return string(escape([]byte(text), isVisible)) }

// Lines returns a text with its invisible characters escaped, but for line breaks and tabs.
func Lines(text []byte) []byte {
	return escape(text, func(r rune) bool { return r == '\n' || r == '\t' || isVisible(r) })
}

// Beneath returns the stream below a writer that escapes, on which a progress bar can draw; any
// other writer as it is.
func Beneath(out io.Writer) io.Writer {
	if through, ok := out.(interface{ Beneath() io.Writer }); ok {
		return through.Beneath()
	}
	return out
}

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

package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/visible"
)

// hostile is an attacker's text for an operator's terminal: controls of both kinds, marks of
// direction, characters of no width, and line breaks that forge lines.
const hostile = "\u009b31mred\u009d0;title\a \x1b[2J\x1b]52;c;aGk=\a\x7f\b\r\u202eltr\u202c\u2066\u2069\u200e\u200f\u061c" +
	"\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\u034f\u115f\u3164\uffa0\ufe0f\u2800\U000e0041\U000e0100\u2028\u2029\u0085\u00a0\v\f" +
	"\nALARM forged: all is lost\n\tcell\ufff9\ue000"

// requirePrintable requires that no character of a text moves the cursor, hides text or turns it
// around, and that no line is forged.
func requirePrintable(tb testing.TB, text string) {
	tb.Helper()
	require.True(tb, utf8.ValidString(text), "%q", text)
	for _, r := range text {
		bad := r != '\n' && unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
		require.False(tb, bad || r == '\u00a0' || r == '\u2800', "%U in %q", r, text)
	}
	for l := range strings.SplitSeq(text, "\n") {
		require.False(tb, strings.HasPrefix(l, "ALARM forged"), "%q", text)
	}
}

func TestPrintable_EscapesInvisibleCharacters(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                      "",
		"Ünïcode, עברית, 漢字, 🎩": "Ünïcode, עברית, 漢字, 🎩",
		"a\tb\nc":               "a\tb\nc",
		"\x00\x1b[2J\x7f\r":     `\u0000\u001b[2J\u007f\u000d`,
		"\u009b\u0080\u009f":    `\u009b\u0080\u009f`,
		"a\u202eb\u2066c\u200f": `a\u202eb\u2066c\u200f`,
		"👨\u200d👩":              `👨\u200d👩`,
		"\U000e0041":            `\udb40\udc41`,
		"\u2028\u2029\ufeff":    `\u2028\u2029\ufeff`,
		"\x9b\xff\xc3":          `\ufffd\ufffd\ufffd`,
		"\xed\xa0\x80":          `\ufffd\ufffd\ufffd`, // half of a surrogate pair
		"\ufffd":                "\ufffd",
	} {
		var out bytes.Buffer
		p := &printable{out: &out}
		n, err := p.Write([]byte(in))
		require.NoError(t, err)
		require.Equal(t, len(in), n)
		require.NoError(t, p.flush())
		require.Equal(t, want, out.String(), "%q", in)
		for cut := range in { // a character may come in two parts
			out.Reset()
			for _, part := range []string{in[:cut], in[cut:]} {
				for i := range len(part) {
					_, err := p.Write([]byte{part[i]})
					require.NoError(t, err)
				}
			}
			require.NoError(t, p.flush())
			require.Equal(t, want, out.String(), "%q", in)
		}
	}
	require.Equal(t, `a\u009b\nb\tc`, line("a\u009b\nb\tc"))
	for r := rune(0); r <= unicode.MaxRune; r++ {
		text := visible.Line(string(r))
		requirePrintable(t, text)
	}
}

// TestPrintable_JSONKeepsItsMeaning prints hostile texts as JSON, and parses the output.
func TestPrintable_JSONKeepsItsMeaning(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, r := range hostile {
		all.WriteRune(r)
	}
	for r := rune(0); r <= unicode.MaxRune; r += 7 {
		if utf8.ValidRune(r) {
			all.WriteRune(r)
		}
	}
	var out bytes.Buffer
	p := &printable{out: &out}
	want := map[string]any{"text": all.String(), hostile: []any{hostile}}
	require.NoError(t, printJSON(p, want))
	requirePrintable(t, out.String())
	var got map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	require.Equal(t, want, got)
	out.Reset()
	require.NoError(t, printJSON(p, json.RawMessage("\"a\xffb\"")))
	require.Equal(t, `"a\ufffdb"`+"\n", out.String())
}

// TestPrintable_EveryCommandPrintsThroughIt: every table is a table, whose cells are single lines,
// and only main knows the process' own streams.
func TestPrintable_EveryCommandPrintsThroughIt(t *testing.T) {
	t.Parallel()
	require.NoError(t, fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		if name != "table.go" {
			require.NotContains(t, string(text), `"text/tabwriter"`, "%s: use newTable", name)
		}
		if name != "main.go" {
			for _, direct := range []string{"os.Stdout", "os.Stderr", "fmt.Print(", "fmt.Printf(", "fmt.Println("} {
				require.NotContains(t, string(text), direct, "%s: use the command's streams", name)
			}
		}
		return nil
	}))
}

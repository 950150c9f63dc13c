package console

import (
	"html/template"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// render executes a template as the pages' are.
func render(t *testing.T, text string, data any) string {
	t.Helper()
	parsed, err := template.New("main").Funcs(functions(func() time.Time { return noon })).Parse(text)
	require.NoError(t, err)
	for _, one := range parsed.Templates() {
		showAll(one.Tree)
	}
	var out strings.Builder
	require.NoError(t, parsed.Execute(&out, data))
	return out.String()
}

type key string

// TestTemplates_ShowForeignText: markup is text, and invisible characters are shown, wherever a
// template prints a value and whatever its type.
func TestTemplates_ShowForeignText(t *testing.T) {
	t.Parallel()
	const evil = "<script>x</script>\u202egpj\x1b[31m\u00a0\n\u200b"
	data := map[string]any{"Name": evil, "Names": []string{evil}, "Key": key(evil), "Pointer": new(evil), "Nil": (*string)(nil)}
	const want = "&lt;script&gt;x&lt;/script&gt;\\u202egpj\\u001b[31m\\u00a0\\n\\u200b"
	for _, text := range []string{
		`{{.Name}}`, `{{range .Names}}{{.}}{{end}}`, `{{with .Name}}{{.}}{{end}}`, `{{if .Name}}{{.Name}}{{end}}`, `{{if .Missing}}{{else}}{{.Name}}{{end}}`,
		`{{.Key}}`, `{{.Pointer}}`, `{{define "part"}}{{.}}{{end}}{{template "part" .Name}}`, `{{$n := .Name}}{{$n}}`, `{{printf "%s" .Name}}`,
		`{{block "other" .Name}}{{.}}{{end}}`, `{{with .Missing}}{{else with .Name}}{{.}}{{end}}`,
	} {
		require.Equal(t, want, render(t, text, data), text)
	}
	require.Empty(t, render(t, `{{.Nil}}`, data))
	require.Contains(t, render(t, `<a title="{{.Name}}" href="{{.Name}}">`, data), `title="`+want+`"`)
	require.NotContains(t, render(t, `<a href="{{.Name}}">`, map[string]any{"Name": "javascript:alert(1)"}), "javascript")
	require.Equal(t, "a\n\tb\\u200b", render(t, `{{multiline .}}`, "a\n\tb\u200b"))
}

// TestPath_KeepsIDsInTheirSegment: no foreign id leads to another page.
func TestPath_KeepsIDsInTheirSegment(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"org_1": "/workspaces/org_1", "..": "/workspaces/%2E%2E", "a/b": "/workspaces/a%2Fb", "a?b#c": "/workspaces/a%3Fb%23c", "\u202e": "/workspaces/%E2%80%AE",
	} {
		require.Equal(t, `<a href="`+want+`">`, render(t, `<a href="{{path "workspaces" .}}">`, id), id)
	}
	require.Equal(t, `<a href="/audit?actor=a%26b">`, render(t, `<a href="{{query "/audit" "actor" . "action" ""}}">`, "a&b"))
}

func TestWhen_IsRelativeWithTheExactInstant(t *testing.T) {
	t.Parallel()
	for at, want := range map[time.Time]string{
		noon:                          "now",
		noon.Add(-90 * time.Second):   "1\u00a0min ago",
		noon.Add(-3 * 24 * time.Hour): "3\u00a0d ago",
		noon.Add(2 * time.Hour):       "in 2\u00a0h",
	} {
		text := render(t, `{{when .}}`, at)
		require.Contains(t, text, ">"+want+"</time>")
		require.Contains(t, text, `datetime="`+at.Format(time.RFC3339)+`"`)
	}
	require.Equal(t, "never", render(t, `{{when .}}`, time.Time{}))
	require.Equal(t, "never", render(t, `{{when .}}`, (*time.Time)(nil)))
}

func TestNumber_HasCommas(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 48210: "48,210", 1234567: "1,234,567", -1234: "-1,234"} {
		require.Equal(t, want, number(n))
	}
	require.Equal(t, "1 member", counted(int64(1), "member", "members"))
	require.Equal(t, "2,000 members", counted(2000, "member", "members"))
	require.Equal(t, "41\u00a0ms", lasting(41*time.Millisecond))
	require.Equal(t, "14\u00a0s", lasting(14.2))
}

package main

import (
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/buildinfo"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/pgtest"
)

// tagged is a build of a release.
func tagged() buildinfo.Info {
	return buildinfo.Info{Version: "v1.2.3", CommittedAt: "2026-09-30T12:00:00Z"}
}

// TestManualPage_NamesEverything: each command, argument and flag, and each setting.
func TestManualPage_NamesEverything(t *testing.T) {
	t.Parallel()
	parser, err := newParser(&cli{}, io.Discard, func(int) {})
	require.NoError(t, err)
	page := plain(manualPage(parser.Model, tagged()))
	_, page, _ = strings.Cut(page, ".SH \"COMMANDS\"\n")
	commands, settings, found := strings.Cut(page, ".SH \"ENVIRONMENT\"\n")
	require.True(t, found)
	for _, command := range parser.Model.Leaves(true) {
		_, section, found := strings.Cut(commands, "\n"+command.FullPath())
		require.True(t, found, command.FullPath())
		section, _, _ = strings.Cut(section, "\nrolecall ")
		require.Contains(t, section, command.Help)
		for _, argument := range command.Positional {
			require.Contains(t, section, "\n"+argument.Summary()+"\n"+argument.Help, command.FullPath())
		}
		for _, flag := range command.Flags {
			require.Regexp(t, "\n--"+flag.Name+"[^\n]*\n", section, command.FullPath())
			require.Contains(t, section, flag.Help, command.FullPath())
		}
	}
	for _, setting := range config.Documented() {
		require.Contains(t, settings, "\n"+setting.Name+"\n")
	}
	requireNoHidden(t, parser.Model, commands)
}

func requireNoHidden(t *testing.T, program *kong.Application, commands string) {
	t.Helper()
	for _, command := range program.Leaves(false) {
		if command.Hidden {
			require.NotContains(t, commands, command.Name)
		}
	}
}

// plain returns what a manual page says, without its fonts and escapes.
func plain(page string) string {
	return strings.NewReplacer(`\f[B]`, "", `\f[I]`, "", `\f[R]`, "", `\-`, "-", `\(rs`, `\`, `\[u2026]`, "…").Replace(page)
}

// TestManualPage_IsWellFormed, as the formatter of man judges it.
func TestManualPage_IsWellFormed(t *testing.T) {
	t.Parallel()
	pgtest.NeedsProgram(t, "mandoc")
	parser, err := newParser(&cli{}, io.Discard, func(int) {})
	require.NoError(t, err)
	lint := exec.CommandContext(t.Context(), "mandoc", "-Tlint", "-Wwarning")
	lint.Stdin = strings.NewReader(manualPage(parser.Model, tagged()))
	out, err := lint.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Empty(t, string(out))
}

func TestManualPage_EscapesWhatTheFormatterReads(t *testing.T) {
	t.Parallel()
	var m manual
	m.line(`.a \b 'c' "d" **e** //F// https://g/h`)
	m.line("'x' – `y`")
	m.macro("SH", `"a" b`)
	require.Equal(t, `\&.a \(rsb 'c' "d" \f[B]e\f[R] \f[I]F\f[R] https://g/h`+"\n"+
		`\&'x' \[u2013] \f[B]y\f[R]`+"\n"+`.SH "\(dqa\(dq b"`+"\n", m.String())
}

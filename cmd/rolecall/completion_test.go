package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/require"
)

// TestCompletion_InBash presses Tab in a real bash: it loads the script, fills the variables that
// bash fills, and prints the candidates.
func TestCompletion_InBash(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.Symlink(os.Args[0], filepath.Join(folder, "rolecall"))) // the test's binary, as the program
	for words, want := range map[string]string{
		"rolecall deli":                          "deliveries",
		"rolecall deliveries ":                   "list show replay",
		"rolecall deliveries list --s":           "--state --since",
		"rolecall deliveries list --state ":      "received applied superseded ignored quarantined",
		"rolecall deliveries list --state = qua": "quarantined",
		"rolecall deliveries list --json --cs":   "--csv",
		"rolecall completion ":                   "bash zsh fish",
		"rolecall serve --no-w":                  "--no-web --no-workers",
		"rolecall nonsense ":                     "",
	} {
		script := `source <(rolecall completion bash)
COMP_WORDS=(` + strings.TrimSuffix(words, " ") + `)
[[ $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_rolecall
echo "${COMPREPLY[*]}"
complete -p rolecall`
		bash := exec.CommandContext(t.Context(), "bash", "--norc", "-euc", script, "bash", words)
		bash.Env = []string{asProgram + "=1", "PATH=" + folder + ":" + os.Getenv("PATH")}
		out, err := bash.CombinedOutput()
		require.NoError(t, err, "%s", out)
		found, installed, _ := strings.Cut(string(out), "\n")
		require.Equal(t, want, found, words)
		require.Contains(t, installed, "-F _rolecall rolecall")
	}
}

// TestCompletion_ScriptsOfAllShells: each script asks the program, and names itself.
//
//nolint:paralleltest // the environment belongs to the process
func TestCompletion_ScriptsOfAllShells(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, out, errs := runCommand(t, nil, "completion", shell)
		require.Equal(t, exitOK, code, errs)
		require.Contains(t, out, "# "+shell+" completion for rolecall\n")
		require.Contains(t, out, "__complete --")
	}
	code, _, errs := runCommand(t, nil, "completion", "csh")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, `"bash","zsh","fish"`)
}

// TestHelp_FitsInto80Columns: the help of each command fits, says what the command does, and what
// each of its flags and arguments is for.
func TestHelp_FitsInto80Columns(t *testing.T) {
	t.Setenv("COLUMNS", "")
	parser, err := newParser(&cli{}, os.Stderr, func(int) {})
	require.NoError(t, err)
	commands := 0
	require.NoError(t, kong.Visit(parser.Model.Node, func(node kong.Visitable, next kong.Next) error {
		if command, ok := node.(*kong.Node); ok && !command.Hidden {
			commands++
			path := strings.Fields(command.FullPath())[1:]
			code, out, errs := runCommand(t, nil, append(path, "--help")...)
			require.Equal(t, exitOK, code, errs)
			for l := range strings.SplitSeq(out, "\n") {
				require.LessOrEqual(t, uniseg.StringWidth(l), usualWidth, "%v: %q", path, l)
			}
			require.NotEmpty(t, command.Help, path)
			require.Contains(t, strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(command.Help), " "), path)
			for _, value := range append(command.Positional, flagValues(command)...) {
				require.NotEmpty(t, value.Help, "%v: %s", path, value.Name)
			}
		}
		return next(nil)
	}))
	require.Greater(t, commands, 15)
}

func flagValues(command *kong.Node) (values []*kong.Value) {
	for _, flag := range command.Flags {
		values = append(values, flag.Value)
	}
	return values
}

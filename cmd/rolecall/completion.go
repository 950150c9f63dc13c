package main

import (
	"context"
	"embed"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// completionScripts are the scripts of the shells. Each asks the hidden command __complete.
//
//go:embed completion
var completionScripts embed.FS

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help says how to install the script.
func (*completionCommand) Help() string {
	return `Load it where your shell starts:

  bash: source <(rolecall completion bash)
  zsh: source <(rolecall completion zsh)
  fish: rolecall completion fish | source`
}

func (c *completionCommand) run(_ context.Context, io streams) error {
	script, err := completionScripts.ReadFile("completion/rolecall." + c.Shell)
	if err == nil {
		_, err = io.out.Write(script)
	}
	if err != nil {
		return fmt.Errorf("print the script: %w", err)
	}
	return nil
}

// completeCommand prints the candidates for the last word of a command line: one a line, followed
// by a tab and its help.
type completeCommand struct {
	Words []string `arg:"" optional:"" passthrough:"all"`
}

func (c *completeCommand) run(_ context.Context, to streams) error {
	parser, err := newParser(&cli{}, io.Discard, func(int) {})
	if err != nil {
		return err
	}
	for _, found := range candidates(parser.Model.Node, c.Words) {
		if _, err := fmt.Fprintf(to.out, "%s\t%s\n", found.word, found.help); err != nil {
			return fmt.Errorf("print candidates: %w", err)
		}
	}
	return nil
}

// candidate is a word that a command line may continue with.
type candidate struct{ word, help string }

// candidates returns what the last word may become: a value of the flag before it, a flag, or a
// subcommand.
func candidates(program *kong.Node, words []string) (found []candidate) {
	if len(words) == 0 {
		words = []string{""}
	}
	words, begun := words[:len(words)-1], words[len(words)-1]
	before := ""
	if flag, value, joined := strings.Cut(begun, "="); joined { // bash divides --flag=value, other shells don't
		words, begun = append(words, flag), value
		if flag != "" {
			before = flag + "="
		}
	}
	at, valued := position(program, words)
	if at == nil {
		return nil
	}
	for _, all := range continuations(at, valued, strings.HasPrefix(begun, "-")) {
		if strings.HasPrefix(all.word, begun) {
			found = append(found, candidate{before + all.word, all.help})
		}
	}
	return found
}

// continuations returns what may follow: values of a flag or an argument, flags, or subcommands.
func continuations(at *kong.Node, valued *kong.Value, flags bool) (all []candidate) {
	if valued != nil {
		return valuesOf(valued)
	}
	if flags {
		return flagsOf(at)
	}
	for _, c := range commandsOf(at) {
		all = append(all, candidate{c.Name, c.Help})
	}
	for _, argument := range at.Positional {
		all = append(all, valuesOf(argument)...)
	}
	return all
}

// flagsOf returns the flags of a command and of those above it.
func flagsOf(at *kong.Node) (all []candidate) {
	for _, flags := range at.AllFlags(true) {
		for _, flag := range flags {
			all = append(all, candidate{"--" + flag.Name, flag.Help})
			if flag.Tag.Negatable != "" {
				all = append(all, candidate{"--no-" + flag.Name, flag.Help})
			}
		}
	}
	return all
}

// position returns the command that words lead to, and the flag whose value comes next; nil for
// none. It returns no command if a word names none.
func position(program *kong.Node, words []string) (at *kong.Node, valued *kong.Value) {
	at = program
	for _, word := range words {
		if word == "=" || word == "" {
			continue
		}
		if valued != nil { // this is its value
			valued = nil
			continue
		}
		if child := childOf(at, word); child != nil {
			at = child
			continue
		}
		if !strings.HasPrefix(word, "-") && len(commandsOf(at)) > 0 {
			return nil, nil
		}
		valued = flagOf(at, word)
	}
	return at, valued
}

// flagOf returns the flag that a word names, if its value is the next word; nil for none.
func flagOf(at *kong.Node, word string) *kong.Value {
	for _, flags := range at.AllFlags(true) {
		for _, flag := range flags {
			if word == "--"+flag.Name && !flag.IsBool() {
				return flag.Value
			}
		}
	}
	return nil
}

// valuesOf returns the values that a flag or an argument may have, if it has only a few.
func valuesOf(v *kong.Value) (all []candidate) {
	var values []string
	if v.Tag.Enum != "" {
		values = v.EnumSlice()
	} else if of, ok := reflect.TypeAssert[interface{ choices() []string }](v.Target); ok {
		values = of.choices()
	}
	for _, value := range values {
		all = append(all, candidate{word: value})
	}
	return all
}

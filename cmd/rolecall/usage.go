package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// halfway reports whether arguments name a command that needs a subcommand, and nothing else. Its
// help is then the most useful answer.
func halfway(program *kong.Node, args []string) bool {
	at := program
	for _, arg := range args {
		if at = childOf(at, arg); at == nil {
			return false
		}
	}
	return len(commandsOf(at)) > 0
}

// explained returns what is wrong with a command line, and what to type instead.
func explained(err error, program *kong.Node, args []string) string {
	at, next := walk(program, args)
	text := err.Error()
	if meant := resembling(at, next); meant != "" && !strings.Contains(text, "did you mean") {
		text += ", did you mean \"" + meant + "\"?"
	}
	return text + "\nTry: " + strings.TrimSpace(at.FullPath()) + " --help"
}

// walk follows arguments down to the last command that they name. next is the argument after it;
// "" for none.
func walk(program *kong.Node, args []string) (at *kong.Node, next string) {
	at = program
	for _, arg := range args {
		child := childOf(at, arg)
		if child == nil {
			return at, arg
		}
		at = child
	}
	return at, ""
}

// resembling returns the only subcommand that begins as a word does, with all but its last letters.
// The parser itself finds misspelt ones.
func resembling(at *kong.Node, word string) (meant string) {
	const leastAlike = 4 // letters
	for _, c := range commandsOf(at) {
		if alike := min(len(word)-1, len(c.Name)-1); alike >= leastAlike && strings.HasPrefix(c.Name, word[:alike]) {
			if meant != "" {
				return ""
			}
			meant = c.Name
		}
	}
	return meant
}

// childOf returns a command's subcommand; nil for none.
func childOf(at *kong.Node, name string) *kong.Node {
	for _, c := range at.Children {
		if c.Type == kong.CommandNode && c.Name == name {
			return c
		}
	}
	return nil
}

// commandsOf returns the subcommands of a command that its help names.
func commandsOf(at *kong.Node) (commands []*kong.Node) {
	for _, c := range at.Children {
		if c.Type == kong.CommandNode && !c.Hidden {
			commands = append(commands, c)
		}
	}
	return commands
}

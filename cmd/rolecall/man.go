package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"github.com/callmine/rolecall/cmd/rolecall/internal/buildinfo"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
)

type manCommand struct{}

// Help says how to read the page.
func (*manCommand) Help() string { return "Read it: rolecall man | man -l -" }

func (*manCommand) run(_ context.Context, to streams) error {
	parser, err := newParser(&cli{}, io.Discard, func(int) {})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(to.out, manualPage(parser.Model, buildinfo.Read())); err != nil {
		return fmt.Errorf("print the manual page: %w", err)
	}
	return nil
}

// manual is a manual page in the language of man(7).
type manual struct{ strings.Builder }

// manualPage returns the page rolecall(1). The same build gives the same bytes.
func manualPage(program *kong.Application, build buildinfo.Info) string {
	var m manual
	m.macro("TH", "ROLECALL", "1", build.Date(), "rolecall "+build.Version, "User Commands")
	m.macro("SH", "NAME")
	m.line("rolecall - who is in this workspace, in which role, and may they do this?")
	m.macro("SH", "SYNOPSIS")
	m.line("**rolecall** //COMMAND// [//FLAG// ...]")
	m.macro("SH", "DESCRIPTION")
	m.line("Rolecall mirrors the organizations, memberships and users of a Clerk instance into Postgres, and answers from this mirror. " +
		"A workspace is a Clerk organization. Without a command, **rolecall** prints its help.")
	m.macro("SH", "COMMANDS")
	group := ""
	for _, command := range program.Leaves(true) {
		if of := command.ClosestGroup(); of != nil && of.Title != group {
			group = of.Title
			m.macro("SS", group)
		}
		m.command(command)
	}
	m.macro("SH", "OPTIONS")
	m.flags(program.Node)
	m.macro("SH", "ENVIRONMENT")
	for _, setting := range config.Documented() {
		m.item("**"+setting.Name+"**", setting.Description())
	}
	m.macro("SH", "EXIT STATUS")
	m.item("**0**", "Success. A command that runs until it is interrupted then exits with 0, too.")
	m.item("**1**", "An error, an interrupted command, or a check that found something wrong.")
	m.item("**2**", "A wrong command line. A name in it may mean several people or workspaces, or none.")
	m.item("**3**", "A guard stopped a sweep, or a chain of the audit log is broken: an operator has to look.")
	m.macro("SH", "SEE ALSO")
	m.line("The manuals: https://github.com/callmine/rolecall/tree/main/docs")
	return m.String()
}

// command writes a subcommand: how to type it, what it does, and its own flags.
func (m *manual) command(c *kong.Node) {
	usage := []string{"**" + c.FullPath() + "**"}
	for _, argument := range c.Positional {
		usage = append(usage, "//"+argument.Summary()+"//")
	}
	if len(c.Flags) > 0 {
		usage = append(usage, "[//FLAG// ...]")
	}
	m.item(strings.Join(usage, " "), c.Help)
	for paragraph := range strings.SplitSeq(strings.TrimSpace(c.Detail), "\n") {
		if paragraph != "" {
			m.macro("br")
			m.line(strings.TrimSpace(paragraph))
		}
	}
	if len(c.Positional)+len(c.Flags) == 0 {
		return
	}
	m.macro("RS")
	for _, argument := range c.Positional {
		m.item("//"+argument.Summary()+"//", argument.Help)
	}
	m.flags(c)
	m.macro("RE")
}

// flags writes the flags that a command has itself.
func (m *manual) flags(of *kong.Node) {
	for _, flag := range of.Flags {
		if flag.Hidden {
			continue
		}
		usage := "**--" + flag.Name + "**"
		if flag.Short != 0 {
			usage = "**-" + string(flag.Short) + "**, " + usage
		}
		if !flag.IsBool() {
			usage += "=//" + flag.FormatPlaceHolder() + "//"
		}
		if flag.Tag.Negatable != "" {
			usage += ", **--no-" + flag.Name + "**"
		}
		m.item(usage, flag.Help)
	}
}

// item writes a term and, below it, what it means.
func (m *manual) item(term, text string) {
	m.macro("TP")
	m.line(term)
	m.line(text)
}

// macro writes a line that begins with a macro. A date in its arguments keeps its hyphens.
func (m *manual) macro(name string, arguments ...string) {
	m.WriteString("." + name)
	for _, argument := range arguments {
		m.WriteString(` "` + strings.NewReplacer(`"`, `\(dq`, `\-`, "-").Replace(roff(argument)) + `"`)
	}
	m.WriteString("\n")
}

// marked finds **bold** and //slanted// words, and `code`, which is bold.
var marked = regexp.MustCompile("\\*\\*(.+?)\\*\\*|`([^`]+)`|(?:^|([ =\\[]))//(.+?)//")

// line writes a line of text, in which words may be marked.
func (m *manual) line(text string) {
	text = marked.ReplaceAllString(roff(text), `${3}\f[B]$1$2\f[R]\f[I]$4\f[R]`)
	text = strings.NewReplacer(`\f[B]\f[R]`, "", `\f[I]\f[R]`, "").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	m.WriteString(text + "\n")
}

// roff escapes a text: each character then stands for itself, in every encoding of a terminal.
func roff(text string) string {
	var out strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			out.WriteString(`\(rs`)
		case r == '-':
			out.WriteString(`\-`)
		case r >= utf8.RuneSelf:
			fmt.Fprintf(&out, `\[u%04X]`, r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

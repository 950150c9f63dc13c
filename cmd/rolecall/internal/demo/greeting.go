package demo

import (
	"fmt"
	"io"
	"strings"
)

// greet prints what runs, where, and what to do with it: at most twelve lines of a terminal with 80
// columns. The first one has the address to open.
func (d *Demo) greet(o Options, out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Open        %s%s   Ctrl-C ends everything.\n", d.Playground, instead(d.Playground, o.Playground, usualPlayground))
	fmt.Fprintf(&b, "Console     %s%s\n", d.Admin, instead(d.Admin, o.Admin, usualAdmin))
	fmt.Fprintf(&b, "API         %s%s\n", d.Rolecall, instead(d.Rolecall, o.Listen, usualListen))
	fmt.Fprintf(&b, "Clerk       %s%s, simulated, the same at each start\n", d.Clerk, instead(d.Clerk, o.Simulator, usualSimulator))
	if d.data != "" {
		fmt.Fprintf(&b, "Data        %s, emptied at each start\n", d.data)
		fmt.Fprintf(&b, "Database    export DATABASE_URL='%s'\n", d.DatabaseURL)
	} else {
		b.WriteString("Database    the one in DATABASE_URL; its schema rolecall is emptied at each start\n")
	}
	b.WriteString("            then, in another terminal: go run ./cmd/rolecall status\n")
	if o.EnvFile != "" {
		fmt.Fprintf(&b, "Your app    %s has what it needs: addresses, keys, tokens\n", o.EnvFile)
	} else {
		b.WriteString("Your app    --env-file FILE writes what it needs: addresses, keys, tokens\n")
	}
	if o.Plain {
		lines, err := d.commands()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "Paste these lines into another terminal:\n\n%s\n", lines)
	} else {
		b.WriteString("Terminal    --plain prints commands to paste\n")
		b.WriteString("Below, each webhook and each decision, as it happens:\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// instead says why a URL isn't the usual one, unless it was asked for.
func instead(url, asked, usual string) string {
	if asked != "" || url == "http://"+usual {
		return ""
	}
	_, port, _ := strings.Cut(usual, ":")
	return " (" + port + " is taken)"
}

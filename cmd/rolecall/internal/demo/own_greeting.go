package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// greet prints what runs, where, and what to do with it, in at most twelve lines.
func (o *Own) greet(options OwnOptions, out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Console     %s%s   your workspaces. Ctrl-C ends everything.\n", o.Admin, instead(o.Admin, options.Admin, usualAdmin))
	fmt.Fprintf(&b, "API         %s%s   for session tokens of %s\n", o.Rolecall, instead(o.Rolecall, options.Listen, usualListen), o.cfg.Issuer)
	fmt.Fprintf(&b, "Clerk       %s (%s), which is only read\n", o.instance.ID, o.instance.Environment)
	fmt.Fprintf(&b, "Mirror      %d objects, as Clerk had them at %s\n", o.filled.report.Listed, o.filled.asOf.Local().Format(time.DateTime))
	sweeps := "a sweep every " + o.cfg.SweepInterval.String()
	if o.cfg.SweepInterval == usualSweeps {
		sweeps = "a sweep each minute"
	}
	if o.webhooks {
		fmt.Fprintf(&b, "Changes     by webhooks to /webhooks/clerk of the API, and %s\n", sweeps)
	} else {
		fmt.Fprintf(&b, "Changes     by %s; at once with webhooks: see docs/try.md\n", sweeps)
	}
	if strings.HasPrefix(o.cfg.SecretKey, livePrefix) {
		fmt.Fprintf(&b, "Data        real people's data are copied to this machine, until you rm -r %s\n", quoted(o.data))
	} else {
		fmt.Fprintf(&b, "Data        %s, kept until you delete it\n", o.data)
	}
	fmt.Fprintf(&b, "Database    export DATABASE_URL='%s'\n", o.DatabaseURL)
	b.WriteString("            then, in another terminal: go run ./cmd/rolecall status\n")
	b.WriteString("Below, each webhook, each repair and each decision, as it happens:\n")
	_, err := io.WriteString(out, b.String())
	return err
}

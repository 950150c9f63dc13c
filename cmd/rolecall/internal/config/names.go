package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// ReadServing reads the environment for a serve. Its error names every fault for which that serve
// wouldn't start. Its warnings name probable mistakes. The configuration has all values that can be
// read.
func ReadServing(ctx context.Context, which Parts) (cfg Config, warnings []string, err error) {
	cfg, faults := read()
	var errs []error
	for _, f := range faults {
		errs = append(errs, f)
	}
	for _, m := range cfg.missing(which) {
		unread := func(f settingError) bool { return f.setting == m.setting+fileSuffix }
		if !slices.ContainsFunc(faults, unread) { // its file is given, and the fault says what is wrong with it
			errs = append(errs, m)
		}
	}
	errs = append(errs, cfg.check(which))
	if which.Web {
		_, err := cfg.Policy(ctx)
		errs = append(errs, err)
		warnings = cfg.warnOfServices()
	}
	for _, s := range strays(cfg, os.Environ()) {
		if s.refused {
			errs = append(errs, errors.New(s.String()))
		} else {
			warnings = append(warnings, s.String())
		}
	}
	return cfg, warnings, errors.Join(errs...)
}

// stray is a variable of the environment that looks like a setting and is none.
type stray struct {
	name    string
	meant   string // the setting that is probably meant; "" for none
	set     bool   // that setting has a value of its own
	refused bool   // serve refuses it: the setting has no value, and this one would be ignored
}

// String names the fault and the cure.
func (s stray) String() string {
	switch {
	case s.meant == "":
		return s.name + " is no setting of Rolecall: it has no effect"
	case s.set:
		return fmt.Sprintf("%s is no setting, and has no effect: %s is set, and counts", s.name, s.meant)
	default:
		return fmt.Sprintf("%s is no setting: did you mean %s, which isn't set?", s.name, s.meant)
	}
}

// OwnStrays returns a sentence for each variable that begins with ROLECALL_ and is no setting.
func OwnStrays(cfg Config, environ []string) (warnings []string) {
	for _, s := range strays(cfg, environ) {
		if s.ours() {
			warnings = append(warnings, s.String())
		}
	}
	return warnings
}

// ours reports whether the name is in Rolecall's own namespace.
func (s stray) ours() bool { return strings.HasPrefix(canonical(s.name), "ROLECALL_") }

// strays finds, in the order of their names, variables that have a value and look like a setting. A
// stray is refused if the setting that it means isn't set, and either the stray's name is
// Rolecall's own or that setting has no default. Otherwise a wrong spelling of
// CLERK_AUTHORIZED_PARTIES would let in every origin.
func strays(cfg Config, environ []string) []stray {
	known := cfg.byVariable()
	var found []stray
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if _, ok := known[name]; ok || strings.TrimSpace(value) == "" || isForeign(name, value) {
			continue
		}
		s := stray{name: name, meant: meantBy(name, known)}
		if s.meant == "" && !s.ours() {
			continue
		}
		if s.meant != "" {
			if name := givenAs(known[s.meant].Name); name != "" {
				s.meant, s.set = name, true
			}
			clerks := strings.HasPrefix(canonical(name), "CLERK_")
			if s.set && !s.ours() && !clerks {
				continue // DATABASE_URL_TEST belongs to another program
			}
			s.refused = !s.set && (s.ours() || clerks && known[s.meant].fallback == "" && !ofClerk(name))
		}
		found = append(found, s)
	}
	slices.SortFunc(found, func(a, b stray) int { return strings.Compare(a.name, b.name) })
	return found
}

// byVariable returns the settings by each variable that may give them.
func (c Config) byVariable() map[string]Setting {
	known := map[string]Setting{}
	for _, s := range c.settingsInClear() {
		known[s.Name] = s
		if file := s.FileVariable(); file != "" {
			known[file] = Setting{Name: s.Name}
		}
	}
	return known
}

// givenAs returns the variable that gives a setting: its own, or that of its file; "" for none.
func givenAs(setting string) string {
	for _, name := range []string{setting, setting + fileSuffix} {
		if inEnvironment(name) != "" {
			return name
		}
	}
	return ""
}

var (
	// clerksOwn are variables of Clerk's own libraries, which an application beside us may have.
	clerksOwn = regexp.MustCompile(`^CLERK_(PUBLISHABLE_KEY|JWT_KEY|API_VERSION|API_KEY|FRONTEND_API|FAPI|BAPI|DOMAIN|PROXY_URL|IS_SATELLITE|` +
		`SIGN_(IN|UP)_|AFTER_|JS_|UI_|TELEMETRY_|ENCRYPTION_KEY|MACHINE_|KEYLESS_|TESTING_|OAUTH_|WEBHOOK_ID)`)
	// linked are the variables that Kubernetes sets in each container for a service named rolecall.
	linked = regexp.MustCompile(`^ROLECALL_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	// tests are the variables of this repository's own tests.
	tests = regexp.MustCompile(`^ROLECALL_TEST_`)
)

func ofClerk(name string) bool { return clerksOwn.MatchString(name) }

// isForeign reports whether a variable belongs to another program.
func isForeign(name, value string) bool {
	if ofClerk(name) && name != "CLERK_API_KEY" { // an old name of the secret key, possibly the only one given
		return true
	}
	return linked.MatchString(name) || tests.MatchString(name) || strings.HasPrefix(name, "ROLECALL_") && strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
}

// otherNames maps other programs' names of our settings to ours.
func otherNames() map[string]string {
	return map[string]string{ //nolint:gosec // names, no values
		"CLERK_API_KEY": "CLERK_SECRET_KEY", "CLERK_JWT_ISSUER_DOMAIN": "CLERK_ISSUER", "CLERK_JWT_ISSUER": "CLERK_ISSUER",
		"CLERK_WEBHOOK_SIGNING_KEY": "CLERK_WEBHOOK_SIGNING_SECRET", "CLERK_WEBHOOK_KEY": "CLERK_WEBHOOK_SIGNING_SECRET",
		"SVIX_WEBHOOK_SECRET": "CLERK_WEBHOOK_SIGNING_SECRET",
	}
}

// canonical returns a name in the form of settings' names.
func canonical(name string) string {
	return strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(strings.TrimSpace(name)))
}

// meantBy returns the setting that a name is probably meant to be; "" if it looks like none.
func meantBy(name string, known map[string]Setting) string {
	wanted := canonical(name)
	if _, ok := known[wanted]; ok {
		return wanted // in lower case, or with other separators
	}
	if other, ok := otherNames()[wanted]; ok {
		return other
	}
	if !slices.ContainsFunc([]string{"ROLECALL", "CLERK", "DATABASE"}, func(prefix string) bool {
		return misspelt(strings.SplitN(wanted, "_", 2)[0], prefix) <= 1
	}) {
		return ""
	}
	best, nearest := "", 4 // a distance of 4 or more means another word
	for setting := range known {
		if far := apart(wanted, setting); far < nearest || far == nearest && setting < best {
			best, nearest = setting, far
		}
	}
	return best
}

// apart returns the distance of a name from a setting: 0 for the same, 4 for too far. A wrong
// prefix, a word too many or too few, or up to three wrong letters are near enough.
func apart(name, setting string) int {
	if bare(name) == bare(setting) || bare(name) == setting {
		return 0
	}
	far := misspelt(name, setting)
	if limit := len(setting) / 6; far > limit { // short names resemble each other by chance
		far = 4
	}
	if differing(strings.Split(name, "_"), strings.Split(setting, "_")) == 1 {
		far = min(far, 2)
	}
	return min(far, 4)
}

// bare returns a name without the prefix of its program.
func bare(name string) string {
	for _, prefix := range []string{"ROLECALL_", "CLERK_"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return rest
		}
	}
	return name
}

// differing counts the words that only one of two names has.
func differing(a, b []string) int {
	n := 0
	for _, word := range a {
		if i := slices.Index(b, word); i >= 0 {
			b = slices.Delete(slices.Clone(b), i, i+1)
		} else {
			n++
		}
	}
	return n + len(b)
}

// misspelt counts the letters that were left out, added or replaced, and neighbours that were
// swapped.
func misspelt(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			other := 1
			if a[i] == b[j] {
				other = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+other)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

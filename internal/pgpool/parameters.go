package pgpool

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// startup are the parameters that stay in the message that begins a session. Poolers know the first
// ones. Postgres accepts the others at no other time. All other parameters of a URL are set by SQL.
func startup(name string) bool {
	return slices.Contains([]string{
		"application_name", "client_encoding", "options", "replication",
		"ignore_system_indexes", "jit_debugging_support", "jit_profiling_support", "log_connections", "log_disconnections",
		"post_auth_delay",
	}, strings.ToLower(name))
}

// takeParameters removes from a URL's parameters those that are set by SQL instead, and returns
// them in a fixed order.
func takeParameters(given map[string]string) []setting {
	var taken []setting
	if pairs, ok := optionPairs(given["options"]); ok {
		taken = pairs
		delete(given, "options")
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if strings.HasPrefix(name, "pool_") { // of a pool, where a single session is opened
			delete(given, name)
		} else if !startup(name) {
			taken = append(taken, setting{name, quote(given[name])})
			delete(given, name)
		}
	}
	return taken
}

// tryParameters sets a URL's parameters for the session, or only tries them ("true" for local). The
// error has no part of the URL: an unescaped character in a password may make a part of it look
// like a parameter's name. A time-out of the URL would end the following statements. It is reset,
// because the needs of a session set a time-out of their own anyway.
func tryParameters(ctx context.Context, conn *pgconn.PgConn, source string, parameters []setting, local string) error {
	if len(parameters) == 0 {
		return nil
	}
	all := slices.Clone(parameters)
	for _, p := range parameters {
		switch strings.ToLower(p.name) {
		case "statement_timeout", "lock_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout":
			all = append(all, setting{p.name, "'0'"})
		}
	}
	_, err := conn.Exec(ctx, setSQL(all, local)).ReadAll()
	return hideParameters(err, source)
}

// hideParameters removes Postgres' own words from an error of setting a URL's parameters.
func hideParameters(err error, source string) error {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	return refuse(ReasonParameter, "Postgres refuses a parameter of %s (SQLSTATE %s): look at what follows the ? in it, and write the "+
		"characters @ : / ? # %% of its password as %%40 %%3A %%2F %%3F %%23 %%25", source, refused.Code)
}

// optionPairs reads command-line options that only set parameters: -c name=value and --name=value.
// Other options stay for the server: some providers route by the name of a project in them.
func optionPairs(options string) ([]setting, bool) {
	var pairs []setting
	words := splitOptions(options)
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case word == "-c" && i+1 < len(words):
			i++
			word = words[i]
		case strings.HasPrefix(word, "--"), strings.HasPrefix(word, "-c"):
			word = word[2:]
		default:
			return nil, false
		}
		name, value, ok := strings.Cut(word, "=")
		name = strings.ReplaceAll(name, "-", "_")
		if !ok || startup(name) {
			return nil, false
		}
		pairs = append(pairs, setting{name, quote(value)})
	}
	return pairs, len(pairs) > 0
}

// splitOptions splits as Postgres does: at white space that has no backslash before it.
func splitOptions(options string) []string {
	var words []string
	var word strings.Builder
	within, escaped := false, false
	for _, r := range options {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			within, escaped = true, true
		case strings.ContainsRune(" \t\r\n\v\f", r):
			if within {
				words = append(words, word.String())
				word.Reset()
			}
			within = false
		default:
			word.WriteRune(r)
			within = true
		}
	}
	if within {
		words = append(words, word.String())
	}
	return words
}

// quote quotes a string literal so that standard_conforming_strings doesn't matter.
func quote(s string) string {
	quoted := "'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `'`, `''`) + "'"
	if strings.Contains(s, `\`) {
		return "E" + quoted
	}
	return quoted
}

// setSQL sets parameters, in this order, for a session or for one transaction.
func setSQL(settings []setting, local string) string {
	calls := make([]string, len(settings))
	for i, s := range settings {
		calls[i] = "pg_catalog.set_config(" + quote(s.name) + ", " + s.value + ", " + local + ")"
	}
	return "SELECT " + strings.Join(calls, ", ")
}

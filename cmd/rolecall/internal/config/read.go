package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Read reads the process environment, and the files that it names for secrets. It removes the
// blanks around each value. Its error names each value that can't be read; the configuration has
// the default in its place.
func Read() (Config, error) {
	cfg, faults := read()
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = f
	}
	return cfg, errors.Join(errs...)
}

func read() (Config, []settingError) {
	given, unread := givenSettings()
	cfg, faults := parseConfig(given)
	if len(faults) > 0 {
		for _, f := range faults {
			delete(given, f.setting)
		}
		cfg, _ = parseConfig(given)
	}
	return cfg, append(unread, faults...)
}

// givenSettings returns the settings of the environment and of its secrets' files by their names,
// and the fault of each file.
func givenSettings() (given map[string]string, faults []settingError) {
	given = map[string]string{}
	for _, s := range (Config{}).Settings() {
		if value, ok := os.LookupEnv(s.Name); ok {
			given[s.Name] = strings.TrimSpace(value)
		}
		value, err := readSecretFile(s)
		if fault, ok := errors.AsType[settingError](err); ok {
			faults = append(faults, fault)
		} else if value != "" {
			given[s.Name] = value
		}
	}
	return given, faults
}

// settingError names a setting, the fault of its value, and the cure.
type settingError struct{ setting, fault string }

// Error implements error.
func (e settingError) Error() string { return e.setting + ": " + e.fault }

// wrong returns a [settingError].
func wrong(setting, format string, args ...any) error {
	return settingError{setting, fmt.Sprintf(format, args...)}
}

func parseConfig(given map[string]string) (cfg Config, faults []settingError) {
	err := env.ParseWithOptions(&cfg, env.Options{Environment: given, FuncMap: parsers()})
	all := []error{err}
	if several, ok := errors.AsType[env.AggregateError](err); ok {
		all = several.Errors
	}
	for _, err := range all {
		if parse, ok := errors.AsType[env.ParseError](err); ok {
			field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
			faults = append(faults, settingError{field.Tag.Get("env"), parse.Err.Error()})
		} else if err != nil {
			faults = append(faults, settingError{"the environment", err.Error()})
		}
	}
	for _, list := range [][]string{cfg.SigningSecrets, cfg.AuthorizedParties, cfg.ReplicaURLs} {
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
	}
	return cfg, faults
}

// parsers read values that aren't text. Their errors complete a sentence that begins with the
// setting's name.
func parsers() map[reflect.Type]env.ParserFunc {
	return map[reflect.Type]env.ParserFunc{
		reflect.TypeFor[time.Duration](): func(v string) (any, error) {
			d, err := ParseDuration(v)
			if err != nil {
				return nil, fmt.Errorf("%s is not a duration: write a number with its unit, such as 90s, 30m, 1h or 7d", shown(v))
			}
			return d, nil
		},
		reflect.TypeFor[bool](): func(v string) (any, error) {
			b, err := strconv.ParseBool(v)
			if err != nil {
				return nil, fmt.Errorf("%s is neither true nor false: write one of them", shown(v))
			}
			return b, nil
		},
		reflect.TypeFor[int](): func(v string) (any, error) {
			n, err := strconv.Atoi(v)
			if err != nil {
				return nil, fmt.Errorf("%s is not a whole number: write one such as 54", shown(v))
			}
			return n, nil
		},
		reflect.TypeFor[float64](): func(v string) (any, error) {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return nil, fmt.Errorf("%s is not a number: write one such as 0.05 or 20", shown(v))
			}
			return f, nil
		},
		reflect.TypeFor[slog.Level](): func(v string) (any, error) {
			var level slog.Level
			if err := level.UnmarshalText([]byte(v)); err != nil {
				return nil, fmt.Errorf("%s is no level: write debug, info, warn or error", shown(v))
			}
			return level, nil
		},
		reflect.TypeFor[LogFormat](): func(v string) (any, error) {
			if format := LogFormat(v); format == LogJSON || format == LogText {
				return format, nil
			}
			return nil, fmt.Errorf("%s is no format: write json or text", shown(v))
		},
	}
}

package config

import (
	"cmp"
	"io"
	"log/slog"
)

// LogFormat is the form of log lines. The zero value leaves the choice to the command.
type LogFormat string

// The formats.
const (
	LogJSON LogFormat = "json" // an object a line
	LogText LogFormat = "text" // key=value, for people
)

// LogHandler returns the function that makes the handler of log lines from a level on. Their format
// is the configured one, or else the command's usual one.
func (c Config) LogHandler(usual LogFormat) func(io.Writer, slog.Level) slog.Handler {
	return func(to io.Writer, level slog.Level) slog.Handler {
		options := &slog.HandlerOptions{Level: level}
		if cmp.Or(c.LogFormat, usual) == LogJSON {
			return slog.NewJSONHandler(to, options)
		}
		return slog.NewTextHandler(to, options)
	}
}

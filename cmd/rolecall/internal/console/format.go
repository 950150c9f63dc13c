package console

import (
	"fmt"
	"html/template"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/cmd/rolecall/internal/visible"
)

// functions are what templates can call.
func functions(now func() time.Time) template.FuncMap {
	return template.FuncMap{
		"shown":     shown,
		"prose":     prose,
		"multiline": func(text any) multiline { return multiline(fmt.Sprint(text)) },
		"when":      func(at any) template.HTML { return when(now(), at) },
		"lasting":   func(duration any) template.HTML { return template.HTML(lasting(duration)) }, //nolint:gosec // digits and a unit
		"number":    number,
		"counted":   counted,
		"path":      pathTo,
		"query":     query,
		"told":      told,
		"clock":     func(at time.Time) string { return at.UTC().Format("2 Jan 15:04") },
		"dated":     dated,
		"instant":   exactly,
		"counter":   orUnmeasured,
		"cause":     causeInWords,
		"sweepPath": sweepPath,
		"list":      func(values ...any) []any { return values },
		"causeOf":   causeOf,
		"personOf":  personOf,
		"roleOf":    roleOf,
		"tally":     tally,
		"statusOf":  statusOf,
		"past":      func(at *time.Time) bool { return at != nil && !at.After(now()) },
		"nameOf":    support.WorkspaceName,
		"failure":   support.Failure,
	}
}

// multiline is a text that keeps its line breaks and tabs.
type multiline string

// shown makes the invisible characters of a printed text visible. Markup, which comes from this
// package, stays as it is.
func shown(value any) any {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return visible.Line(v)
	case multiline:
		return string(visible.Lines([]byte(v)))
	case template.HTML, template.URL, template.HTMLAttr:
		return v
	case fmt.Stringer:
		return visible.Line(v.String())
	case error:
		return visible.Line(v.Error())
	}
	r := reflect.ValueOf(value)
	if r.Kind() == reflect.Pointer {
		if r.IsNil() {
			return ""
		}
		return shown(r.Elem().Interface())
	}
	if r.Kind() == reflect.String {
		return visible.Line(r.String())
	}
	return value
}

// prose writes a text in which commands and settings stand between backquotes.
func prose(text string) template.HTML {
	var out strings.Builder
	for i, part := range strings.Split(text, "`") {
		part = template.HTMLEscapeString(visible.Line(part))
		if i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		out.WriteString(part)
	}
	return template.HTML(out.String()) //nolint:gosec // each part is escaped
}

// when writes how long ago an instant was, or how long it is until then, with the exact instant as
// its title. It takes a time.Time or a *time.Time; zero and nil are never.
func when(now time.Time, instant any) template.HTML {
	var at time.Time
	switch v := instant.(type) {
	case time.Time:
		at = v
	case *time.Time:
		if v != nil {
			at = *v
		}
	}
	if at.IsZero() {
		return "never"
	}
	exact := at.UTC().Format(time.RFC3339)
	words := "now"
	switch d := now.Sub(at); {
	case d >= time.Second:
		words = lasting(d) + " ago"
	case d <= -time.Second:
		words = "in " + lasting(-d)
	}
	return template.HTML(`<time datetime="` + exact + `" title="` + atSecond(at) + `">` + words + `</time>`) //nolint:gosec // digits and words of this package
}

// lasting writes a duration in its largest unit, such as "41 ms", "12 min" and "3 d". It takes a
// time.Duration, or seconds as a float64.
func lasting(duration any) string {
	var d time.Duration
	switch v := duration.(type) {
	case time.Duration:
		d = v
	case *time.Duration:
		if v == nil {
			return "–"
		}
		d = *v
	case float64:
		d = time.Duration(v * float64(time.Second))
	case *float64:
		if v == nil {
			return "–"
		}
		d = time.Duration(*v * float64(time.Second))
	}
	const day = 24 * time.Hour
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{365 * day, "y"}, {day, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if d >= unit.size {
			return strconv.FormatInt(int64(d/unit.size), 10) + "\u00a0" + unit.name
		}
	}
	return "0\u00a0s"
}

// number writes an integer with commas between thousands.
func number(value any) string {
	r := reflect.ValueOf(value)
	var digits string
	switch {
	case r.CanInt():
		digits = strconv.FormatInt(r.Int(), 10)
	case r.CanUint():
		digits = strconv.FormatUint(r.Uint(), 10)
	default:
		return fmt.Sprint(value)
	}
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}

// counted writes a number of things: "1 member", "2 members".
func counted(n any, one, many string) string {
	if text := number(n); text != "1" {
		return text + " " + many
	}
	return "1 " + one
}

// pathTo returns the path of the given segments. Foreign ids can't leave their segment.
func pathTo(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		if s == "." || s == ".." { // a browser would resolve it
			s = strings.ReplaceAll(s, ".", "%2E")
		} else {
			s = url.PathEscape(s)
		}
		b.WriteString(s)
	}
	return b.String()
}

// query returns an address with parameters: a path, then names and values.
func query(path string, pairs ...string) string {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return target(path, values)
}

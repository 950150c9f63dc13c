package sync

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// object is a JSON object that tells absent, null and present members apart. Member names are
// case-sensitive. Unknown members are never read, because Clerk adds fields at any time. Its values
// are valid JSON: parseObject makes every object, or membersOf a part of one.
type object []namedValue

type namedValue struct {
	name  []byte
	value json.RawMessage
}

// value returns the value of a name: the last one, as encoding/json does. Objects have few members,
// so that a search costs less than a map.
func (o object) value(name string) (value json.RawMessage, ok bool) {
	for _, m := range slices.Backward(o) {
		if string(m.name) == name {
			return m.value, true
		}
	}
	return nil, false
}

// member is what a JSON object holds under one name.
type member[T any] struct {
	value   T
	present bool // false: absent
	null    bool
	err     error // wraps ErrUndecodable: the value is of another type
}

// read decodes the member called name. Absent and null leave the zero value.
func read[T any](o object, name string) member[T] {
	raw, ok := o.value(name)
	if !ok {
		return member[T]{}
	}
	m := member[T]{present: true, null: string(raw) == "null"}
	if err := json.Unmarshal(raw, &m.value); err != nil {
		m.err = unexpected(name)
	}
	return m
}

func unexpected(name string) error {
	return fmt.Errorf("%w: member %q is not of the expected type", ErrUndecodable, name)
}

func (o object) text(name string) member[string] {
	if raw, _ := o.value(name); len(raw) > 1 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 { // without an escape there is no NUL
		return member[string]{value: string(raw[1 : len(raw)-1]), present: true}
	}
	m := read[string](o, name)
	m.value = strings.ReplaceAll(m.value, "\x00", "\uFFFD") // Postgres text can't hold NUL
	return m
}

func (o object) boolean(name string) member[bool] { return read[bool](o, name) }

func (o object) child(name string) member[object] {
	raw, ok := o.value(name)
	m := member[object]{present: ok, null: string(raw) == "null"}
	switch {
	case !ok || m.null:
	case raw[0] == '{':
		m.value = membersOf(raw)
	default:
		m.err = unexpected(name)
	}
	return m
}

// objects returns a list of objects. An element that isn't an object becomes an empty one.
func (o object) objects(name string) member[[]object] {
	raw, ok := o.value(name)
	m := member[[]object]{present: ok, null: string(raw) == "null"}
	switch {
	case !ok || m.null:
	case raw[0] == '[':
		for _, element := range elementsOf(raw) {
			if element[0] == '{' {
				m.value = append(m.value, membersOf(element))
				continue
			}
			m.value = append(m.value, nil)
			if string(element) != "null" {
				m.err = unexpected(name)
			}
		}
	default:
		m.err = unexpected(name)
	}
	return m
}

func (o object) texts(name string) member[[]string] {
	m := read[[]string](o, name)
	for i, s := range m.value {
		m.value[i] = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return m
}

// raw returns the member's own JSON text.
func (o object) raw(name string) member[json.RawMessage] {
	raw, ok := o.value(name)
	return member[json.RawMessage]{value: raw, present: ok, null: string(raw) == "null"}
}

// nullable turns a member into a pointer: nil for null.
func nullable(m member[string]) member[*string] {
	out := member[*string]{present: m.present, null: m.null, err: m.err}
	if m.present && !m.null {
		out.value = &m.value
	}
	return out
}

// maybeMillis is millis for an instant that may be null.
func (o object) maybeMillis(name string) member[*int64] {
	m := o.millis(name)
	out := member[*int64]{present: m.present, null: m.null, err: m.err}
	if m.present && !m.null {
		out.value = &m.value
	}
	return out
}

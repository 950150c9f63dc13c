package sync

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzScan compares the scanner with encoding/json: an object has the same members, and a secret
// the same values.
func FuzzScan(f *testing.F) {
	for _, text := range []string{
		`{}`, ` { "a" : 1 , "b":[1,{"a":"}]"}] , "a":null} `, `{"a":-1e5,"b":true,"":""}`, `{"\u0061\"\\":"\\","u\u0072l":"\"","x":{"URL":["{"]}}`,
		`["url",{"url":1},"url"]`, `"url"`, `{"url":"\ud800","a":{"url":{"url":2}},"b":{"url":{}}}`, "{\"url\"\n:\t1\r}", `12`, `{"url": "" ,"b":"url"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) || !json.Valid(text) {
			return
		}
		var want map[string]json.RawMessage
		got, err := parseObject(text)
		if json.Unmarshal(text, &want) != nil || want == nil {
			require.Error(t, err)
		} else {
			require.NoError(t, err)
			members := map[string]json.RawMessage{}
			for _, m := range got {
				members[string(m.name)] = m.value
			}
			require.Equal(t, want, members)
			for name := range want {
				value, _ := got.value(name)
				require.Equal(t, want[name], value)
			}
		}
		var elements []json.RawMessage
		if trimmed := bytes.TrimSpace(text); json.Unmarshal(text, &elements) == nil && elements != nil {
			require.Len(t, elementsOf(trimmed), len(elements))
			for i, element := range elementsOf(trimmed) {
				require.Equal(t, string(elements[i]), string(element))
			}
		}
		var values []string
		for _, s := range valuesOf(text, []string{"url"}) {
			values = append(values, string(text[s.start:s.end]))
		}
		require.Equal(t, valuesByToken(t, text, "url"), values)
	})
}

// valuesByToken is valuesOf, by the tokens of encoding/json.
func valuesByToken(t *testing.T, text []byte, name string) (values []string) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	var objects []bool // for each open bracket, whether it is an object's
	wantName := false
	for {
		token, err := decoder.Token()
		if err != nil { // the end
			return values
		}
		said, isText := token.(string)
		switch {
		case token == json.Delim('{') || token == json.Delim('['):
			objects = append(objects, token == json.Delim('{'))
			wantName = token == json.Delim('{')
			continue
		case token == json.Delim('}') || token == json.Delim(']'):
			objects = objects[:len(objects)-1]
		case wantName && isText && strings.ToLower(said) == name:
			var value json.RawMessage
			require.NoError(t, decoder.Decode(&value))
			if !slices.Contains([]string{"null", "{}", `""`}, string(value)) {
				values = append(values, string(value))
			}
			continue
		case wantName:
			wantName = false
			continue
		}
		wantName = len(objects) > 0 && objects[len(objects)-1]
	}
}

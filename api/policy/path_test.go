package policy

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestReadPath(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][]string{
		"/": nil, "/w": {"w"}, "/w/": {"w"}, "/w/org_1/a.b": {"w", "org_1", "a.b"}, "/%61b%C3%A9": {"abé"}, "/é": {"é"},
		"/a%20b/c+d": {"a b", "c+d"}, "/...": {"..."}, "/.well-known/..x": {".well-known", "..x"}, "/%3F%23": {"?#"}, "/@:,=&!$'()*": {"@:,=&!$'()*"},
	} {
		got, err := ReadPath(raw)
		require.NoError(t, err, raw)
		require.Equal(t, want, got, raw)
	}
	long := "/" + strings.Repeat("x", maxPath-1)
	_, err := ReadPath(long)
	require.NoError(t, err)
	_, err = ReadPath(long + "x")
	require.Equal(t, errPathTooLong, err)
}

// TestReadPath_RefusesWhatCanBeReadTwice: each path has another meaning for some service.
func TestReadPath_RefusesWhatCanBeReadTwice(t *testing.T) {
	t.Parallel()
	for want, paths := range map[error][]string{
		errPathNotRooted:   {"", "w", "*", "http://x/w", `\w`, "%2Fw"},
		errPathSeparator:   {"/a%2fb", "/a%2Fb", "/a%5cb", "/a%5Cb", `/a\b`, "/%2F", "/..%2f..", "/..%5c"},
		errPathDots:        {"/.", "/..", "/a/./b", "/a/../b", "/a/..", "/%2e", "/%2E%2e/b", "/a/.%2e/b", "/a/%2e./", "/../"},
		errPathDoubleSlash: {"//", "//a", "/a//b", "/a//", "///"},
		errPathSemicolon:   {"/a;b", "/a;", "/;", "/a/..;/b", "/a%3bb", "/a%3B"},
		errPathPercent:     {"/a%25", "/a%252fb", "/%252e%252e/"},
		errPathEscape:      {"/%", "/a%2", "/%zz", "/%2g", "/%g2", "/%%41", "/a/%/b", "/%\x10\x10", "/%u0041"},
		errPathControl:     {"/a%00", "/a%0a", "/a%0D", "/a%7f", "/a\x00", "/a\tb", "/a b", "/a#b", "/a?b", "/%C2%85", "/\u0085"},
		errPathUTF8:        {"/%ff", "/\xff", "/%c0%ae", "/%C0%AF", "/%ed%a0%80", "/%C3"},
	} {
		for _, raw := range paths {
			segments, err := ReadPath(raw)
			require.Equal(t, want, err, raw)
			require.Nil(t, segments, raw)
		}
	}
}

// FuzzReadPath: a path that is read has one reading, whatever a service decodes, cleans or splits.
func FuzzReadPath(f *testing.F) {
	for _, raw := range []string{"/", "/w/org_1/reports", "/%2e%2e/", "/a%2fb", "//", "/a;b/..;/", "/%25", "/é%C3%A9", "/a/../b", `/\`, "/%zz"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		segments, err := ReadPath(raw)
		if err != nil {
			require.Nil(t, segments)
			return
		}
		whole := "/" + strings.Join(segments, "/")
		decoded, err := url.PathUnescape(raw)
		require.NoError(t, err)
		require.Equal(t, strings.TrimSuffix(decoded, "/"), strings.TrimSuffix(whole, "/"))
		require.True(t, utf8.ValidString(whole))
		twice, err := url.PathUnescape(whole)
		require.NoError(t, err)
		require.Equal(t, whole, twice, "decoding once more changes nothing")
		if whole == "/" {
			return
		}
		require.NotContains(t, whole, "//")
		for _, segment := range segments {
			require.NotContains(t, []string{"", ".", ".."}, segment)
			require.False(t, strings.ContainsAny(segment, "/\\;\x00\r\n\t"), "%q", segment)
		}
	})
}

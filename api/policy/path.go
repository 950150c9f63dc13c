package policy

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPath bounds a path, in bytes. No browser's address bar shows a longer one.
const maxPath = 8 << 10

// The faults of a path for which [ReadPath] refuses it.
var (
	errPathNotRooted   = errors.New("the path doesn't begin with a slash")
	errPathTooLong     = errors.New("the path has more than 8192 bytes")
	errPathEscape      = errors.New("the path has a percent sign without two hexadecimal digits after it")
	errPathSeparator   = errors.New("the path has a backslash, or an escaped slash or backslash")
	errPathSemicolon   = errors.New("the path has a semicolon")
	errPathPercent     = errors.New("the path has an escaped percent sign")
	errPathControl     = errors.New("the path has a control character, a blank or a number sign that isn't escaped, or an escaped control character")
	errPathUTF8        = errors.New("the path isn't UTF-8")
	errPathDots        = errors.New("the path has a segment of dots")
	errPathDoubleSlash = errors.New("the path has two slashes in a row")
)

// ReadPath splits a path as it stands in a request into its segments, each decoded once. It refuses
// every path that a service behind a proxy might read in another way: the service would then do
// something else than was decided. A slash at the end adds no segment, because most services ignore
// it.
func ReadPath(raw string) ([]string, error) {
	rest, rooted := strings.CutPrefix(raw, "/")
	switch {
	case !rooted:
		return nil, errPathNotRooted
	case len(raw) > maxPath:
		return nil, errPathTooLong
	case rest == "":
		return nil, nil
	}
	var segments []string
	for written := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		segment, err := readSegment(written)
		if err != nil {
			return nil, err
		}
		segments = append(segments, segment)
	}
	return segments, nil
}

// readSegment decodes a segment and judges it.
func readSegment(written string) (string, error) {
	if strings.ContainsAny(written, " #?") { // a service may end the path there
		return "", errPathControl
	}
	segment, err := unescape(written)
	switch {
	case err != nil:
		return "", err
	case segment == "":
		return "", errPathDoubleSlash
	case segment == ".", segment == "..":
		return "", errPathDots
	case strings.ContainsAny(segment, `/\`):
		return "", errPathSeparator
	case strings.Contains(segment, ";"): // some services drop what follows it
		return "", errPathSemicolon
	case strings.Contains(segment, "%"): // a service may decode it once more
		return "", errPathPercent
	case !utf8.ValidString(segment):
		return "", errPathUTF8
	case strings.ContainsFunc(segment, unicode.IsControl):
		return "", errPathControl
	default:
		return segment, nil
	}
}

// unescape decodes the escapes of a segment.
func unescape(written string) (string, error) {
	if !strings.Contains(written, "%") {
		return written, nil
	}
	decoded := make([]byte, 0, len(written))
	for i := 0; i < len(written); i++ {
		if written[i] != '%' {
			decoded = append(decoded, written[i])
			continue
		}
		if len(written)-i < len("%00") {
			return "", errPathEscape
		}
		high, low := hexDigit(written[i+1]), hexDigit(written[i+2])
		if high < 0 || low < 0 {
			return "", errPathEscape
		}
		decoded = append(decoded, byte(high<<4|low)) //nolint:gosec // two digits are a byte
		i += len("00")
	}
	return string(decoded), nil
}

// hexDigit returns the value of a hexadecimal digit, or -1 for another character.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}

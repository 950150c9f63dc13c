package policy

import "github.com/goccy/go-yaml/token"

const (
	// maxNesting is how deep a policy may be nested. It needs three levels. The time of parsing
	// grows faster than the depth.
	maxNesting = 8
	// maxEntries bounds the keys of a policy, and other tokens that make parsing slow. The time of
	// parsing grows with the square of their number. A Clerk instance has at most ten roles of its
	// own.
	maxEntries = 2000
)

// refuseExcess refuses, before parsing, a text that would keep the parser busy for seconds. Parsing
// can't be interrupted.
func (r *reader) refuseExcess(tokens token.Tokens) {
	entries := 0
	var nesting nesting
	for _, t := range tokens {
		if isEntry(t.Type) {
			entries++
		}
		switch {
		case nesting.after(t) > maxNesting:
			r.fail(t, "it is nested deeper than %d levels; no policy needs that", maxNesting)
			return
		case entries > maxEntries:
			r.fail(t, "it has more than %d keys, which no policy needs; divide a file of cases", maxEntries)
			return
		}
	}
}

// isEntry reports whether a token begins a key, or is of another kind that is rare in policies.
func isEntry(t token.Type) bool {
	switch t {
	case token.MappingValueType, token.MappingKeyType, token.MergeKeyType, token.TagType, token.DirectiveType,
		token.DocumentHeaderType, token.DocumentEndType, token.LiteralType, token.FoldedType:
		return true
	default:
		return false
	}
}

// nesting counts how deep tokens are nested, in brackets and in lists that begin on one line.
type nesting struct{ brackets, dashes, line int }

// after returns the depth after a token.
func (n *nesting) after(t *token.Token) int {
	if line := lineOf(t); line != n.line {
		n.dashes = 0
		n.line = line
	}
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		n.brackets++
	case token.SequenceEndType, token.MappingEndType:
		n.brackets--
	case token.SequenceEntryType:
		n.dashes++
	default:
	}
	return n.brackets + n.dashes
}

package sync

import (
	"bytes"
	"encoding/json"
)

// The functions of this file find values in JSON texts that are known to be valid. They read a text
// once. encoding/json would validate each nested value again, and copy it.

// usualMembers is how many members most of Clerk's objects have at most.
const usualMembers = 16

// membersOf returns the members of a valid JSON object. They are parts of the text.
func membersOf(text []byte) object {
	members := make(object, 0, usualMembers)
	at := afterSpace(text, 1)
	for text[at] != '}' {
		if text[at] == ',' {
			at = afterSpace(text, at+1)
		}
		end := afterValue(text, at)
		name := stringOf(text[at:end])
		at = afterSpace(text, afterSpace(text, end)+1)
		end = afterValue(text, at)
		members = append(members, namedValue{name, text[at:end:end]})
		at = afterSpace(text, end)
	}
	return members
}

// elementsOf returns the elements of a valid JSON array. They are parts of the text.
func elementsOf(text []byte) (elements [][]byte) {
	for at := afterSpace(text, 1); text[at] != ']'; {
		if text[at] == ',' {
			at = afterSpace(text, at+1)
		}
		end := afterValue(text, at)
		elements = append(elements, text[at:end:end])
		at = afterSpace(text, end)
	}
	return elements
}

// afterSpace returns the first place from at on that is no white space.
func afterSpace(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r') {
		at++
	}
	return at
}

// afterValue returns where the value ends that begins at a place.
func afterValue(text []byte, at int) int {
	switch text[at] {
	case '"':
		return afterString(text, at)
	case '{', '[':
		return afterBrackets(text, at)
	default: // a number or a literal
		if length := bytes.IndexAny(text[at:], ",]} \t\n\r"); length >= 0 {
			return at + length
		}
		return len(text)
	}
}

// afterBrackets returns where the object or array ends whose first bracket is at a place.
func afterBrackets(text []byte, at int) int {
	for depth := 0; ; at++ {
		switch text[at] {
		case '"':
			at = afterString(text, at) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		}
	}
}

// afterString returns where the string ends whose first quote is at a place.
func afterString(text []byte, at int) int {
	for at++; text[at] != '"'; at++ {
		if text[at] == '\\' {
			at++ // to what is escaped
		}
	}
	return at + 1
}

// stringOf returns what a JSON string says.
func stringOf(text []byte) []byte {
	if bytes.IndexByte(text, '\\') < 0 {
		return text[1 : len(text)-1]
	}
	var said string
	_ = json.Unmarshal(text, &said) // it is valid
	return []byte(said)
}

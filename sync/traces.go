package sync

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Traces are the texts by which a person is found: ids, and what is known of names and addresses.
type Traces struct {
	IDs []string // of the user, and of the user's memberships and invitations
	// Sure are texts that stand for this person wherever they occur: addresses, numbers, the full
	// name. In lower case.
	Sure []string
	// Likely are texts that stand for this person where the person is named: names, and texts in
	// metadata. In lower case.
	Likely []string
}

// leastSure is how long, in bytes, an address or number must be to be searched for everywhere.
const leastSure = 5

// Add notes a text about the person. An address of a picture or page isn't sure: it may be one that
// many people share.
func (t *Traces) Add(text string) {
	said := strings.ToLower(strings.TrimSpace(text))
	number, international := strings.CutPrefix(said, "+")
	switch {
	case len(said) < leastSure || strings.Contains(said, "://"):
		t.AddLikely(text)
	case strings.Contains(said, "@"):
		t.Sure = with(t.Sure, said)
	case international && strings.Trim(number, "0123456789 ()-.") == "":
		t.Sure = with(with(with(t.Sure, said), number), "00"+number)
	default:
		t.AddLikely(text)
	}
}

// AddLikely notes a text that stands for the person only where the person is named.
func (t *Traces) AddLikely(text string) {
	text = strings.ToLower(strings.TrimSpace(text))
	if utf8.RuneCountInString(text) >= 2 && text != Erased {
		t.Likely = with(t.Likely, text)
	}
}

// AddTold notes a text that an operator gives. Several words stand for the person wherever they
// occur, as a full name does.
func (t *Traces) AddTold(text string) {
	t.Add(text)
	if words := strings.Fields(strings.ToLower(text)); len(words) > 1 {
		t.Sure = with(t.Sure, strings.Join(words, " "))
	}
}

// AddSlug notes a workspace's slug, if it is made of the person's full name.
func (t *Traces) AddSlug(slug string) {
	if slug = strings.ToLower(slug); slug != "" && t.calls(slug) {
		t.Sure = with(t.Sure, slug)
	}
}

// AddName notes the person's name.
func (t *Traces) AddName(first, last string) {
	t.Add(first)
	t.Add(last)
	if first, last = strings.TrimSpace(first), strings.TrimSpace(last); first != "" && last != "" {
		t.Sure = with(t.Sure, strings.ToLower(first+" "+last))
		t.Sure = with(t.Sure, strings.ToLower(last+", "+first))
	}
}

func with(all []string, text string) []string {
	if slices.Contains(all, text) {
		return all
	}
	return append(all, text)
}

// AddBody notes what a body says of the person.
func (t *Traces) AddBody(body []byte) {
	var value any
	if json.Unmarshal(body, &value) == nil {
		t.addObjects(value)
	}
}

// addObjects finds the objects that are about the person: by their ids.
func (t *Traces) addObjects(value any) {
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			t.addObjects(e)
		}
	case map[string]any:
		id, _ := v["id"].(string)
		user, _ := v["user_id"].(string)
		if slices.Contains(t.IDs, id) || slices.Contains(t.IDs, user) {
			t.addMembers(v, false)
		}
		for _, e := range v {
			t.addObjects(e)
		}
	}
}

// addMembers notes the members of an object about the person that hold names and addresses, and
// all texts of metadata.
func (t *Traces) addMembers(o map[string]any, all bool) {
	text := func(name string) string { s, _ := o[name].(string); return s }
	add := t.Add
	if all { // addresses in metadata may be of others, such as a manager's
		add = t.AddLikely
	} else {
		t.AddName(text("first_name"), text("last_name"))
	}
	for name, value := range o {
		switch v := value.(type) {
		case string:
			if all || slices.Contains(naming(), name) {
				add(v)
			}
		case map[string]any:
			if all || strings.HasSuffix(name, "_metadata") {
				t.addMembers(v, true)
			}
		case []any:
			if all || slices.Contains(namingLists(), name) {
				t.addElements(v, all)
			}
		}
	}
}

// addElements notes the elements of a list about the person.
func (t *Traces) addElements(list []any, all bool) {
	for _, e := range list {
		switch e := e.(type) {
		case map[string]any:
			t.addMembers(e, all)
		case string:
			if all { // as addMembers says
				t.AddLikely(e)
			}
		}
	}
}

// naming lists the members of Clerk's objects that stand for a person.
func naming() []string {
	return []string{
		"email_address", "phone_number", "username", "identifier", "image_url", "profile_image_url", "avatar_url", "picture",
		"web3_wallet", "provider_user_id", "external_id",
	}
}

// namingLists lists the members whose elements have such members.
func namingLists() []string {
	return []string{"email_addresses", "phone_numbers", "external_accounts", "web3_wallets", "saml_accounts", "enterprise_accounts"}
}

// Searched returns the texts to search a database for, in lower case: [Traces.Sure], also as they
// stand in addresses of requests and in slugs. What has none of them may still name the person: see
// [Traces.Escaped].
func (t *Traces) Searched() []string {
	all := slices.Clone(t.Sure)
	for _, text := range t.Sure {
		all = with(all, slugged(text))
		escaped := percentEncode(text)
		all = with(with(with(all, escaped), strings.ReplaceAll(escaped, "%20", "+")), strings.ReplaceAll(text, "@", "%40"))
	}
	return all
}

// Escaped reports whether a text has a letter outside of ASCII. JSON may spell it in several ways,
// and a database may not know its lower case.
func (t *Traces) Escaped() bool {
	return slices.ContainsFunc(t.Sure, func(text string) bool { return len(text) != utf8.RuneCountInString(text) })
}

// InBody reports whether a body names the person, also one that is no JSON.
func (t *Traces) InBody(body []byte) bool {
	return t.named(body) || t.surely(string(unescaped(body)))
}

// named reports whether a text has one of the ids, and not only a longer one.
func (t *Traces) named(text []byte) bool {
	return slices.ContainsFunc(t.IDs, func(id string) bool { return hasWord(string(text), id) })
}

// unescaped returns a JSON text with what its escapes stand for, and any other text as it is.
func unescaped(text []byte) []byte {
	return escapes.ReplaceAllFunc(text, func(escaped []byte) []byte {
		return stringOf(slices.Concat([]byte{'"'}, escaped, []byte{'"'}))
	})
}

// escapes finds runs of escapes, so that both halves of a surrogate pair are read together.
var escapes = regexp.MustCompile(`(\\(u[0-9A-Fa-f]{4}|["\\/bfnrt]))+`)

// surely reports whether a text has something that stands for the person, also if it stands there
// as in the address of a request.
func (t *Traces) surely(text string) bool {
	text = strings.ToLower(text)
	plain := percentEncoded.ReplaceAllStringFunc(text, func(escaped string) string {
		b, _ := hex.DecodeString(strings.ReplaceAll(escaped, "%", "")) // it is hexadecimal
		return string(b)
	})
	plain = strings.ToLower(plain)
	return slices.ContainsFunc(t.Sure, func(s string) bool {
		return hasSure(text, s) || hasSure(plain, s) || strings.Contains(s, " ") && hasSure(strings.ReplaceAll(plain, "+", " "), s)
	})
}

var percentEncoded = regexp.MustCompile(`(%[0-9a-f]{2})+`)

// percentEncode returns a text as it stands in the query of an address, in lower case.
func percentEncode(text string) string {
	var out strings.Builder
	for i := range len(text) {
		if c := text[i]; c < utf8.RuneSelf && (unicode.IsLetter(rune(c)) || unicode.IsDigit(rune(c))) || strings.IndexByte("-_.~", c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02x", c)
		}
	}
	return out.String()
}

// hasSure reports whether a text has a sure one, and not only a longer address, number or name,
// which is somebody else's.
func hasSure(text, sure string) bool {
	if !strings.Contains(sure, "@") {
		return hasWord(text, sure)
	}
	return occurs(text, sure, func(before, after string) bool {
		return !endsInWord(strings.TrimRight(before, "._%+-'")) && !beginsWithWord(strings.TrimLeft(after, ".-"))
	})
}

// likely reports whether a text, where the person is named, has something that stands for the
// person: a word of it.
func (t *Traces) likely(text string) bool {
	if t.surely(text) {
		return true
	}
	text = strings.ToLower(text)
	return slices.ContainsFunc(t.Likely, func(s string) bool { return hasWord(text, s) })
}

// hasWord reports whether a text has a word, or several: no letter or digit stands beside it.
func hasWord(text, word string) bool {
	return occurs(text, word, func(before, after string) bool { return !endsInWord(before) && !beginsWithWord(after) })
}

// occurs reports whether a text has a part that stands between what apart accepts.
func occurs(text, part string, apart func(before, after string) bool) bool {
	for rest := text; ; {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		if apart(text[:len(text)-len(after)-len(part)], after) {
			return true
		}
		rest = after
	}
}

func endsInWord(text string) bool {
	last, _ := utf8.DecodeLastRuneInString(text)
	return isWord(last)
}

func beginsWithWord(text string) bool {
	first, _ := utf8.DecodeRuneInString(text)
	return isWord(first)
}

// isWord reports whether a letter or digit continues a word. In scripts that don't set words apart,
// none does.
func isWord(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) &&
		!unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// calls reports whether a workspace's name or slug has something that stands for the person. A name
// may stand in the genitive, and a slug has hyphens for spaces.
func (t *Traces) calls(name string) bool {
	if t.surely(name) {
		return true
	}
	name = strings.ToLower(name)
	apart := func(before, after string) bool {
		return !endsInWord(before) && !beginsWithWord(strings.TrimPrefix(after, "s"))
	}
	return slices.ContainsFunc(t.Sure, func(s string) bool {
		return strings.Contains(s, " ") && (occurs(name, s, apart) || occurs(name, slugged(s), apart))
	})
}

// slugged returns a full name as it stands in slugs.
func slugged(name string) string { return strings.ReplaceAll(name, " ", "-") }

// InWorkspace reports whether a workspace's name, slug or metadata have something that stands for
// the person.
func (t *Traces) InWorkspace(name, slug string, metadata json.RawMessage) bool {
	_, inMetadata := t.Redact(metadata, false)
	return inMetadata || t.calls(name) || t.calls(slug)
}

// MayBeInWorkspace reports whether a workspace's name, slug or metadata have such a text also as a
// part of a word.
func (t *Traces) MayBeInWorkspace(name, slug string, metadata json.RawMessage) bool {
	said := strings.ToLower(name + " " + slug + " " + string(unescaped(metadata)))
	return slices.ContainsFunc(t.Searched(), func(text string) bool { return strings.Contains(said, text) })
}

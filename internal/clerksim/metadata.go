package clerksim

import (
	"bytes"
	"encoding/json"
)

// metadata is what a product keeps with an object at Clerk: a JSON object that its browsers see
// too, and one that they don't. Either may be null, if the Backend API set it so.
type metadata struct{ public, private json.RawMessage }

// checkMetadata returns copies of two JSON objects, {} for none, and refuses anything else
// (ErrInvalid).
func checkMetadata(public, private json.RawMessage) (metadata, error) {
	return emptyMetadata().combine(replaceMetadata, public, private)
}

func checkObject(param string, raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return emptyObject(), nil
	}
	trimmed := bytes.TrimSpace(raw)
	if !json.Valid(trimmed) || trimmed[0] != '{' {
		return nil, refuseParam(ErrInvalid, param, "metadata must be a JSON object")
	}
	return bytes.Clone(trimmed), nil
}

func emptyMetadata() metadata { return metadata{emptyObject(), emptyObject()} }

func emptyObject() json.RawMessage { return json.RawMessage("{}") }

// userMetadata is a user's metadata. Browsers may write the third object.
type userMetadata struct {
	metadata
	unsafe json.RawMessage
}

func emptyUserMetadata() userMetadata { return userMetadata{emptyMetadata(), emptyObject()} }

func (u *user) metadata() userMetadata {
	return userMetadata{metadata{u.PublicMetadata, u.PrivateMetadata}, u.UnsafeMetadata}
}

// combination makes new metadata out of the old one and a request's field, which is nil if the
// request doesn't have it.
type combination func(param string, old, given json.RawMessage) (json.RawMessage, error)

// combine returns the metadata after a request, or refuses a field of it.
func (m metadata) combine(how combination, public, private json.RawMessage) (metadata, error) {
	var err error
	if m.public, err = how("public_metadata", m.public, public); err != nil {
		return metadata{}, err
	}
	m.private, err = how("private_metadata", m.private, private)
	return m, err
}

// combine is [metadata.combine] with the third object.
func (m userMetadata) combine(how combination, public, private, unsafe json.RawMessage) (userMetadata, error) {
	var err error
	if m.metadata, err = m.metadata.combine(how, public, private); err != nil {
		return userMetadata{}, err
	}
	m.unsafe, err = how("unsafe_metadata", m.unsafe, unsafe)
	return m, err
}

// mergeMetadata merges an object into the old one, at each depth; null removes a key.
func mergeMetadata(param string, old, given json.RawMessage) (json.RawMessage, error) {
	if unlessNull(given) == nil {
		return old, nil
	}
	checked, err := checkObject(param, given)
	if err != nil {
		return nil, err
	}
	return mergeJSON(old, checked), nil
}

// replaceMetadata takes an object, or null, instead of the old one.
func replaceMetadata(param string, old, given json.RawMessage) (json.RawMessage, error) {
	switch {
	case given == nil:
		return old, nil
	case unlessNull(given) == nil:
		return bytes.Clone(given), nil
	default:
		return checkObject(param, given)
	}
}

// mergeJSON merges valid JSON (RFC 7396). The result's keys are sorted.
func mergeJSON(old, patch json.RawMessage) json.RawMessage {
	var changes map[string]json.RawMessage
	if json.Unmarshal(patch, &changes) != nil || changes == nil {
		return patch // no object
	}
	var merged map[string]json.RawMessage
	if json.Unmarshal(old, &merged) != nil || merged == nil {
		merged = make(map[string]json.RawMessage, len(changes))
	}
	for key, change := range changes {
		if unlessNull(change) == nil {
			delete(merged, key)
		} else {
			merged[key] = mergeJSON(merged[key], change)
		}
	}
	return mustMarshal(merged)
}

// nullable returns nil for the empty string.
func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

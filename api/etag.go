package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// writeTagged answers a read with 200 and a JSON body, or with 304 if the caller already has that
// very body. The tag is the body's hash, so a changed body always has another tag. A cache may keep
// the answer, but must revalidate it before each use.
func writeTagged(w http.ResponseWriter, r *http.Request, body any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	content = append(content, '\n')
	hash := sha256.Sum256(content)
	tag := `"` + base64.RawURLEncoding.EncodeToString(hash[:16]) + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	vary(w, "Authorization, "+headerOnBehalfOf) // the caller decides the answer
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(content) // an error means that the caller has gone
	return nil
}

// matches reports whether a tag is among those of If-None-Match. The comparison is weak (RFC 9110,
// section 13.1.2), because a proxy that compresses answers makes tags weak.
func matches(fields []string, tag string) bool {
	for given := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		given = strings.TrimSpace(given)
		if given == "*" || strings.TrimPrefix(given, "W/") == tag {
			return true
		}
	}
	return false
}

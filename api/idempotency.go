package api

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// headerKey is the header that makes a command repeatable
	// (draft-ietf-httpapi-idempotency-key-header).
	headerKey = "Idempotency-Key"
	// headerReplayed says that this is the answer to an earlier request.
	headerReplayed = "Idempotency-Replayed"
	// headerLocation names the path of a new workspace.
	headerLocation = "Location"
	// maxKey bounds a key, in bytes.
	maxKey = 255
)

// keyOf returns the key that makes the request repeatable, and the digest of its body. A key counts
// only for its caller, method and path. A user's own keys don't meet those of a service that acts
// for the user, or of an impersonator.
func keyOf(r *http.Request, userID string, raw []byte) (store.CommandKey, error) {
	keys := r.Header.Values(headerKey)
	if len(keys) == 0 {
		return store.CommandKey{}, nil
	}
	invalid := len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxKey
	for _, c := range []byte(keys[0]) {
		invalid = invalid || c < ' ' || c > '~'
	}
	if invalid {
		return store.CommandKey{}, badRequest("Idempotency-Key must be given once, with 1 to 255 printable ASCII characters.")
	}
	caller := callerOf(r)
	scope := []string{caller.Service, userID, r.Method, r.URL.Path, keys[0]}
	if caller.Impersonator != "" {
		scope = append(scope, caller.Impersonator)
	}
	return store.CommandKey{Digest: digest(scope...), Request: digest(string(raw))}, nil
}

// digest returns a hash of a list of texts. Different lists with the same concatenation have
// different hashes.
func digest(texts ...string) []byte {
	h := sha256.New()
	for _, text := range texts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		h.Write([]byte(text))
	}
	return h.Sum(nil)
}

// commandAnswer is the answer to a command in the form that is stored for repeats.
type commandAnswer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body,omitempty"`
}

// workspacesPath begins the path of every workspace.
const workspacesPath = "/v1/workspaces/"

// answerWith returns the function that makes the answer to a command: a body that it reads from the
// mirror, and the freshness of the workspace after the change.
func answerWith(status int, body func(context.Context, store.DBTX, clerksync.Command) (any, error)) answerFunc {
	return func(ctx context.Context, db store.DBTX, done clerksync.Command) (json.RawMessage, error) {
		standings, err := store.Standings(ctx, db, store.Pair{UserID: done.Actor, OrganizationID: done.OrganizationID})
		if err != nil {
			return nil, err
		}
		a := commandAnswer{Status: status, Headers: map[string]string{headerRevision: strconv.FormatInt(standings[0].Revision, 10)}}
		if at := standings[0].AsOf; !at.IsZero() {
			a.Headers[headerAsOf] = at.UTC().Format(time.RFC3339Nano)
		}
		if done.Action == clerksync.ActionWorkspaceCreated {
			a.Headers[headerLocation] = workspacesPath + done.OrganizationID
		}
		if body != nil {
			shown, err := body(ctx, db, done)
			if err != nil {
				return nil, err
			}
			if a.Body, err = json.Marshal(shown); err != nil {
				return nil, err
			}
		}
		return json.Marshal(a)
	}
}

// writeAnswer sends a stored answer.
func writeAnswer(w http.ResponseWriter, stored json.RawMessage, repeated bool) error {
	var a commandAnswer
	if err := json.Unmarshal(stored, &a); err != nil {
		return err
	}
	for name, value := range a.Headers {
		w.Header().Set(name, value)
	}
	if repeated {
		w.Header().Set(headerReplayed, "true")
	}
	if a.Body == nil {
		w.WriteHeader(a.Status)
		return nil
	}
	writeBody(w, a.Status, "application/json", a.Body)
	return nil
}

// creatorStays returns errNotFound if the creator of a workspace is no longer a member of it. If
// the mirror never had the creator's membership, the creator counts as a member: Clerk may show
// that membership late.
func (s *server) creatorStays(ctx context.Context, creator string, answered json.RawMessage) error {
	var a commandAnswer
	if err := json.Unmarshal(answered, &a); err != nil {
		return err
	}
	workspace := strings.TrimPrefix(a.Headers[headerLocation], workspacesPath)
	standings, err := s.standings(ctx, store.Pair{UserID: creator, OrganizationID: workspace})
	if err != nil {
		return err
	}
	if at := standings[0]; at.OrganizationDead || at.EverMember && !at.Member {
		return errNotFound
	}
	return nil
}

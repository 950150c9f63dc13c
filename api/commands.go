package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	strictjson "github.com/go-json-experiment/json"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/edge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Commander carries commands out: at Clerk first, then in the mirror.
type Commander interface {
	// Run carries a command out and returns the answer that is made then, or what was answered to it before; repeated tells which.
	// Its errors are what package sync says of commands, the hooks' and the database's.
	Run(ctx context.Context, c clerksync.Command, key store.CommandKey, hooks store.CommandHooks) (answered json.RawMessage, repeated bool, err error)
}

const (
	// headerKey is where a caller makes a command repeatable (draft-ietf-httpapi-idempotency-key-header).
	headerKey = "Idempotency-Key"
	// headerReplayed says that an answer is one of before.
	headerReplayed = "Idempotency-Replayed"
	// maxKey bounds a key.
	maxKey = 255
	// maxCommandBody bounds what a command says, many times over.
	maxCommandBody = 64 << 10

	// commandsPerUser in commandsWindow are what one user may ask for, and each service for them: a whole team at once is invited
	// without noticing it. Of a production instance's calls, which all commands share, that is a fifth in the long run. (What goes
	// before what while they are used up, the Commander says.)
	commandsPerUser = 30
	commandsWindow  = 30 * time.Second
)

// commandAnswer is the answer to a command, as it is stored for those who repeat it.
type commandAnswer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body,omitempty"`
}

// answerWith returns what makes the answer to a command: its body from the mirror, and how fresh the workspace is after it.
func answerWith(status int, body func(context.Context, store.DBTX, clerksync.Command) (any, error)) store.AnswerCommand {
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

// run carries a command out and answers.
func (s *server) run(w http.ResponseWriter, r *http.Request, c clerksync.Command, said []byte, answer store.AnswerCommand) error {
	if s.cfg.Commander == nil {
		return errNoCommands
	}
	key, err := keyOf(r, c.Actor, said)
	if err != nil {
		return err
	}
	if !s.commands.Allow(serviceOf(r) + " " + c.Actor) { // so that no service uses up what the user may
		return errTooManyCommands
	}
	answered, repeated, err := s.cfg.Commander.Run(r.Context(), c, key, store.CommandHooks{May: s.stillMay(c), Answer: answer})
	if err != nil {
		return err
	}
	if c.Action == clerksync.ActionWorkspaceCreated {
		if err := s.stillTheirs(r.Context(), c.Actor, answered); err != nil {
			return err
		}
	}
	return writeAnswer(w, answered, repeated)
}

// stillMay returns what asks the mirror once more whether the actor may give the command, after Clerk has shown their membership. It
// returns nil for what Clerk doesn't need to be asked about: it checks itself who invites and who revokes, everybody may leave, and
// create a workspace.
func (s *server) stillMay(c clerksync.Command) func(context.Context, store.DBTX) error {
	permission := policy.MembersManage
	switch {
	case c.Action == clerksync.ActionWorkspaceRenamed:
		permission = policy.WorkspaceUpdate
	case c.Action == clerksync.ActionMemberRoleChanged, c.Action == clerksync.ActionMemberRemoved && c.Target != c.Actor:
	default:
		return nil
	}
	return func(ctx context.Context, db store.DBTX) error {
		standings, err := store.Standings(ctx, db, store.Pair{UserID: c.Actor, OrganizationID: c.OrganizationID})
		if err != nil {
			return err
		}
		if decision := s.cfg.Grants().Decide(standings[0], permission); !decision.Allowed {
			return refusal(decision, standings[0].User)
		}
		return nil
	}
}

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

// keyOf reads the header of a key that makes the request repeatable. It is unique within caller, method and path: what a user asks for
// and what a service asks for on the user's behalf are different.
func keyOf(r *http.Request, userID string, said []byte) (store.CommandKey, error) {
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
	return store.CommandKey{Digest: digest(serviceOf(r), userID, r.Method, r.URL.Path, keys[0]), Request: digest(string(said))}, nil
}

// digest returns a hash of some texts that no others have.
func digest(texts ...string) []byte {
	h := sha256.New()
	for _, text := range texts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		h.Write([]byte(text))
	}
	return h.Sum(nil)
}

// readCommand reads a request's body, one JSON object, into into. It returns the bytes.
func readCommand(w http.ResponseWriter, r *http.Request, into any) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errMediaType
	}
	said, err := readObject(w, r, maxCommandBody, into)
	if errors.Is(err, errNotThisObject) {
		return nil, badRequest("The body must be one JSON object with the members of this route and no others, each once.")
	}
	return said, err
}

// errNotThisObject says that a body isn't what its route takes.
var errNotThisObject = errors.New("the body isn't an object of this route")

// readObject reads a request's body of at most limit bytes, one JSON object, into into, and returns it. A member that is unknown, or
// known but for its case, or given twice is refused: what was meant to change something must not be overlooked, nor mean one thing
// here and another to whoever has looked at it on the way. Errors are errTooLarge,
// errNotThisObject and edge.ErrCrowded.
func readObject(w http.ResponseWriter, r *http.Request, limit int64, into any) ([]byte, error) {
	said, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, errTooLarge
	}
	if errors.Is(err, edge.ErrCrowded) {
		return nil, err
	}
	if err != nil || !bytes.HasPrefix(bytes.TrimSpace(said), []byte("{")) || strictjson.Unmarshal(said, into, strictjson.RejectUnknownMembers(true)) != nil {
		return nil, errNotThisObject
	}
	return said, nil
}

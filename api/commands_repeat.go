package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// A repeat is answered to the caller who may still have the answer. A caller who may not ask any
// more is answered only if the repeated command itself took that right: a member who left, or an
// admin who stepped down.

// asManager admits callers who may change the membership in the path: members with members:manage,
// and for their own the member with the permission for oneself.
func (s *server) asManager(forOneself string, next memberHandler) http.Handler {
	return s.asUser(func(w http.ResponseWriter, r *http.Request, userID string) error {
		permission, oneself := policy.MembersManage, mux.Vars(r)["user_id"] == userID
		if oneself {
			permission = forOneself
		}
		v, err := s.judge(r, userID, mux.Vars(r)["workspace_id"], permission)
		if err != nil {
			return err
		}
		if v.refused != nil && oneself && mayBeOwnDoing(r.Method, v) {
			again, err := s.asksAgain(w, r, userID)
			if err != nil {
				return err
			}
			if again {
				return next(w, r, v.standing) // the Commander doesn't carry it out again
			}
		}
		writeFreshness(w, v.standing, v.decision)
		if v.refused != nil {
			return v.refused
		}
		return next(w, r, v.standing)
	})
}

// mayBeOwnDoing reports whether a command with the method, about its own actor, can have led to the
// refusal: a role change leaves a member whose role lacks the permission, and leaving leaves no
// member.
func mayBeOwnDoing(method string, v verdict) bool {
	if v.standing.User.Refusal() != "" {
		return false
	}
	switch v.decision.Reason {
	case clerksync.ReasonPermissionMissing, clerksync.ReasonUnknownRole:
		return method == http.MethodPatch
	case clerksync.ReasonNotAMember, clerksync.ReasonWorkspaceDeleted:
		return method == http.MethodDelete
	default:
		return false
	}
}

// asksAgain reports whether the request is one that the user made before about themselves, and that
// is why they may not make it any more. A request that can't be read is none. The body can be read
// again.
func (s *server) asksAgain(w http.ResponseWriter, r *http.Request, userID string) (bool, error) {
	if s.cfg.Commander == nil || r.Header.Get(headerKey) == "" {
		return false, nil
	}
	var said []byte
	if r.Method != http.MethodDelete {
		var err error
		if said, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommandBody)); err != nil {
			return false, nil //nolint:nilerr // see above
		}
		r.Body = io.NopCloser(bytes.NewReader(said))
	}
	key, err := keyOf(r, userID, said)
	if err != nil {
		return false, nil //nolint:nilerr // see above
	}
	return store.OwnCommand(r.Context(), s.cfg.DB, userID, key)
}

const (
	// headerLocation is where the answer to a creation names the workspace.
	headerLocation = "Location"
	// workspacesPath begins the path of every workspace.
	workspacesPath = "/v1/workspaces/"
)

// stillTheirs returns an error if the creator of a workspace isn't a member of it any more, so that
// the answer isn't theirs to have. A creator whom the mirror never saw as a member is one: Clerk
// may show that membership a moment late.
func (s *server) stillTheirs(ctx context.Context, creator string, answered json.RawMessage) error {
	var a commandAnswer
	if err := json.Unmarshal(answered, &a); err != nil {
		return err
	}
	workspace := strings.TrimPrefix(a.Headers[headerLocation], workspacesPath)
	standings, err := store.Standings(ctx, s.cfg.DB, store.Pair{UserID: creator, OrganizationID: workspace})
	if err != nil {
		return err
	}
	if at := standings[0]; at.OrganizationDead || at.EverMember && !at.Member {
		return errNotFound
	}
	return nil
}

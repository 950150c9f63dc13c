package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/replica"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// meBody is one page of the caller's workspaces. Most callers have one, which has no next_cursor.
type meBody struct {
	UserID       string           `json:"user_id"`
	Impersonator string           `json:"impersonator,omitempty"`
	Workspaces   []membershipBody `json:"workspaces"`
	NextCursor   *string          `json:"next_cursor,omitempty"`
}

type membershipBody struct {
	WorkspaceID string   `json:"workspace_id"`
	Name        string   `json:"name"`
	Slug        *string  `json:"slug"`
	Role        string   `json:"role"`
	Permissions []string `json:"permissions"`
}

// me answers GET /v1/me with the caller's workspaces, and the role and permissions in each.
func (s *server) me(w http.ResponseWriter, r *http.Request, userID string) error {
	q, err := readQuery(r, []string{"limit", "cursor"})
	if err != nil {
		return err
	}
	after, limit, err := pageWanted(q, maxLimit) // before there were pages, callers got all
	if err != nil {
		return err
	}
	caller := callerOf(r)
	memberships, err := s.memberships(r.Context(), caller, after, limit+1)
	if err == nil && len(memberships) == 0 && after == (store.Position{}) {
		memberships, err = s.firstMemberships(r.Context(), caller, limit+1)
	}
	if err != nil {
		return err
	}
	may := s.cfg.Policy()
	p := pageOf(memberships, limit, store.UserMembership.Position, func(m store.UserMembership) membershipBody {
		return membershipBody{
			WorkspaceID: m.OrganizationID, Name: m.Name, Slug: m.Slug, Role: m.Role,
			Permissions: permissionsIn(may, caller, m.Standing(userID)),
		}
	})
	return writeTagged(w, r, meBody{UserID: userID, Impersonator: caller.Impersonator, Workspaces: p.Data, NextCursor: p.NextCursor})
}

// firstMemberships lists the workspaces of a user who seemed to have none: the primary may have
// newer ones than a replica, and Clerk newer ones than the mirror.
func (s *server) firstMemberships(ctx context.Context, caller auth.Identity, limit int) (memberships []store.UserMembership, err error) {
	if from := replica.Of(ctx); from.Replica() != nil {
		from.Restart(replica.OutcomeNotThere)
		if memberships, err = s.memberships(ctx, caller, store.Position{}, limit); err != nil || len(memberships) > 0 {
			return memberships, err
		}
	}
	if s.refreshUser(ctx, caller.UserID) {
		return s.memberships(ctx, caller, store.Position{}, limit)
	}
	return memberships, nil
}

// memberships lists workspaces that a user is a member of. If the user's account is refused, it
// returns a problem.
func (s *server) memberships(ctx context.Context, caller auth.Identity, after store.Position, limit int) ([]store.UserMembership, error) {
	release, err := s.readShares.Take(ctx, caller.UserID)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := s.mayAsk(ctx, caller); err != nil {
		return nil, err
	}
	return readFrom(ctx, s.cfg.DB, func(ctx context.Context, db store.DBTX) ([]store.UserMembership, error) {
		return store.MembershipsOfUser(ctx, db, caller.UserID, after, limit)
	})
}

// mayAsk refuses a caller whose session has ended or whose account is refused, on the routes that
// are about no single workspace.
func (s *server) mayAsk(ctx context.Context, caller auth.Identity) error {
	status, err := readFrom(ctx, s.cfg.DB, func(ctx context.Context, db store.DBTX) (clerksync.UserStatus, error) {
		return store.UserStatus(ctx, db, caller.UserID, sessionsOf(caller))
	})
	if err != nil {
		return err
	}
	if status.SessionEnded {
		return s.sessionEnded()
	}
	if reason := status.Refusal(); reason != "" {
		return forbidden(reason)
	}
	return nil
}

// permissionsIn lists the permissions under a policy that a caller has as a member. The list is
// never null in JSON.
func permissionsIn(p *policy.Policy, caller auth.Identity, standing clerksync.Standing) []string {
	return append([]string{}, impersonationOf(caller, p).Left(p.Grants.Effective(standing))...)
}

type workspaceBody struct {
	WorkspaceID string     `json:"workspace_id"`
	Name        string     `json:"name"`
	Slug        *string    `json:"slug"`
	ImageURL    *string    `json:"image_url"`
	CreatedAt   *time.Time `json:"created_at"`
	CreatedBy   *string    `json:"created_by"`
	MemberCount int64      `json:"member_count"`
}

// workspace answers GET /v1/workspaces/{workspace_id}.
func (s *server) workspace(w http.ResponseWriter, r *http.Request, caller workspaceReader) error {
	if _, err := queryOf(r); err != nil {
		return err
	}
	ws, err := readFrom(r.Context(), s.cfg.DB, func(ctx context.Context, db store.DBTX) (store.Workspace, error) {
		return store.FindWorkspace(ctx, db, caller.workspaceID)
	})
	if errors.Is(err, store.ErrNotFound) { // deleted since the decision
		w.Header().Del(headerRevision)
		w.Header().Del(headerAsOf)
		return errNotFound
	}
	if err != nil {
		return err
	}
	return writeTagged(w, r, bodyOfWorkspace(ws))
}

func bodyOfWorkspace(ws store.Workspace) workspaceBody {
	return workspaceBody{
		WorkspaceID: ws.ID, Name: ws.Name, Slug: ws.Slug, ImageURL: ws.ImageURL, CreatedAt: utc(ws.CreatedAt),
		CreatedBy: ws.CreatedBy, MemberCount: ws.MemberCount,
	}
}

type workspaceMeBody struct {
	UserID       string   `json:"user_id"`
	Impersonator string   `json:"impersonator,omitempty"`
	WorkspaceID  string   `json:"workspace_id"`
	Role         string   `json:"role"`
	Permissions  []string `json:"permissions"`
}

// workspaceMe answers GET /v1/workspaces/{workspace_id}/me with the caller's role and permissions.
// A user interface uses them to grey out actions.
func (s *server) workspaceMe(w http.ResponseWriter, r *http.Request, member clerksync.Standing) error {
	if _, err := queryOf(r); err != nil {
		return err
	}
	caller := callerOf(r)
	return writeTagged(w, r, workspaceMeBody{
		UserID: member.UserID, Impersonator: caller.Impersonator, WorkspaceID: member.OrganizationID, Role: member.Role,
		Permissions: permissionsIn(s.cfg.Policy(), caller, member),
	})
}

// createWorkspace answers POST /v1/workspaces. The caller becomes the new workspace's admin.
func (s *server) createWorkspace(w http.ResponseWriter, r *http.Request, userID string) error {
	if err := s.mayAsk(r.Context(), callerOf(r)); err != nil {
		return err
	}
	var body struct {
		Name string  `json:"name"`
		Slug *string `json:"slug"`
	}
	raw, err := readCommand(w, r, &body)
	if err != nil {
		return err
	}
	c := clerksync.Command{Actor: userID, Action: clerksync.ActionWorkspaceCreated}
	if c.Name, err = workspaceName(body.Name); err != nil {
		return err
	}
	if c.Slug, err = slug(body.Slug); err != nil {
		return err
	}
	return s.run(w, r, c, raw, answerWith(http.StatusCreated, workspaceAfter))
}

// renameWorkspace answers PATCH /v1/workspaces/{workspace_id}.
func (s *server) renameWorkspace(w http.ResponseWriter, r *http.Request, member clerksync.Standing) error {
	var body struct {
		Name string `json:"name"`
	}
	raw, err := readCommand(w, r, &body)
	if err != nil {
		return err
	}
	c := clerksync.Command{
		Actor: member.UserID, Action: clerksync.ActionWorkspaceRenamed, OrganizationID: member.OrganizationID, Target: member.OrganizationID,
	}
	if c.Name, err = workspaceName(body.Name); err != nil {
		return err
	}
	return s.run(w, r, c, raw, answerWith(http.StatusOK, workspaceAfter))
}

func workspaceAfter(ctx context.Context, db store.DBTX, done clerksync.Command) (any, error) {
	ws, err := store.FindWorkspace(ctx, db, done.OrganizationID)
	return bodyOfWorkspace(ws), err
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}

package demo

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// sentence says in words what an entry of the audit log records. names are what to call people and
// workspaces by their ids.
func sentence(e support.Entry, names names) string {
	who, where, is, was := names.of(e.Target), names.of(e.OrganizationID), stateOf(e.After), stateOf(e.Before)
	by := ""
	if e.Actor != nil {
		by = names.of(*e.Actor)
	}
	switch e.Action {
	case clerksync.ActionWorkspaceCreated:
		return where + " was created" + orNothing(" by ", by)
	case clerksync.ActionWorkspaceRenamed:
		return was.Name + " is now called " + is.Name
	case clerksync.ActionWorkspaceDeleted:
		return where + " was deleted"
	case clerksync.ActionMemberJoined:
		return fmt.Sprintf("%s joined %s as %s", who, where, is.Role)
	case clerksync.ActionMemberRoleChanged:
		return fmt.Sprintf("%s is now %s in %s, and was %s", who, is.Role, where, was.Role)
	case clerksync.ActionMemberRemoved:
		if by != "" {
			return fmt.Sprintf("%s removed %s from %s", by, who, where)
		}
		return fmt.Sprintf("%s is no longer in %s", who, where)
	case clerksync.ActionMemberLeft:
		return fmt.Sprintf("%s left %s", who, where)
	case clerksync.ActionInvitationSent:
		return fmt.Sprintf("%s was invited to %s as %s", is.Email, where, is.Role)
	case clerksync.ActionInvitationAccepted, clerksync.ActionInvitationRevoked, clerksync.ActionInvitationExpired:
		return fmt.Sprintf("the invitation of %s to %s %s", is.Email, where, outcomes()[e.Action])
	case clerksync.ActionUserBanned, clerksync.ActionUserUnbanned, clerksync.ActionUserDeprovisioned, clerksync.ActionUserRestored,
		clerksync.ActionUserDeleted:
		return who + " " + outcomes()[e.Action]
	case clerksync.ActionWorkspaceRestated, clerksync.ActionMemberRestated, clerksync.ActionUserRestated, clerksync.ActionRoleRestated:
		return "a late delivery told of the past of " + who + orNothing(": ", e.Change())
	default:
		return string(e.Action) + " " + who + orNothing(": ", e.Change())
	}
}

// outcomes are the ends of sentences about invitations and accounts.
func outcomes() map[clerksync.Action]string {
	return map[clerksync.Action]string{
		clerksync.ActionInvitationAccepted: "was accepted", clerksync.ActionInvitationRevoked: "was revoked",
		clerksync.ActionInvitationExpired: "has expired",
		clerksync.ActionUserBanned:        "was banned", clerksync.ActionUserUnbanned: "is no longer banned",
		clerksync.ActionUserDeprovisioned: "was deprovisioned", clerksync.ActionUserRestored: "may act again",
		clerksync.ActionUserDeleted: "was deleted",
	}
}

// told is what an entry says of a state.
type told struct {
	Name  string `json:"name"`
	Role  string `json:"role"`
	Email string `json:"email"`
}

func stateOf(details json.RawMessage) (t told) {
	_ = json.Unmarshal(details, &t) // null, or an object
	return t
}

// orNothing puts a word before a text; it returns "" if there is no text.
func orNothing(word, text string) string {
	if text == "" {
		return ""
	}
	return word + text
}

// sentences say what entries record, in their order.
func sentences(ctx context.Context, db store.DBTX, logged []clerksync.LoggedEntry) ([]string, error) {
	entries, err := support.Entries(ctx, db, logged)
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, e := range entries {
		ids = append(ids, e.Target, e.OrganizationID)
		if e.Actor != nil {
			ids = append(ids, *e.Actor)
		}
	}
	known, err := namesOf(ctx, db, ids)
	said := make([]string, len(entries))
	for i, e := range entries {
		said[i] = sentence(e, known)
	}
	return said, err
}

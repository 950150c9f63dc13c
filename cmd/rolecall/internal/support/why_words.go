package support

import (
	"fmt"

	clerksync "github.com/callmine/rolecall/sync"
)

// Sentence says the answer in one sentence, names included: they come from strangers.
func (a WhyAnswer) Sentence() string {
	d := a.Reasoning.Decision
	who, where := a.who(), a.where()
	if d.Permission == "" && d.Reason == clerksync.ReasonNotAMember {
		return fmt.Sprintf("No: %s isn't a member of %s (%s).", who, where, a.Reasoning.Deciding().Detail)
	}
	does := "may use " + d.Permission
	doesnt := "may not use " + d.Permission
	if d.Permission == "" {
		does, doesnt = "counts as a member", "doesn't count as a member"
	}
	if d.Allowed {
		return fmt.Sprintf("Yes: %s %s in %s, because %s.", who, does, where, a.Because())
	}
	return fmt.Sprintf("No: %s %s in %s, because %s.", who, doesnt, where, a.Because())
}

// Because says what decided, without names that strangers chose. It is a clause.
func (a WhyAnswer) Because() string {
	r := a.Reasoning
	detail := r.Deciding().Detail
	switch r.Decision.Reason {
	case clerksync.ReasonAllowed:
		if r.Decision.Permission == "" {
			return "the membership " + detail + " counts"
		}
		return detail
	case clerksync.ReasonUnknownPermission:
		return "no role has " + r.Decision.Permission + ", which may be misspelt"
	case clerksync.ReasonUnknownRole:
		return "the role is " + detail
	case clerksync.ReasonNotAMember:
		return "they aren't a member (" + detail + ")"
	case clerksync.ReasonWorkspaceDeleted:
		return "the workspace was deleted"
	case clerksync.ReasonUserDeleted:
		return "their account was deleted"
	case clerksync.ReasonUserBanned, clerksync.ReasonUserDeprovisioned:
		return "their account is " + detail
	case clerksync.ReasonStale:
		return "the mirror isn't as fresh as demanded (" + detail + ")"
	case clerksync.ReasonPermissionMissing, clerksync.ReasonImpersonationDenied, clerksync.ReasonWorkspaceNotListed:
		return detail
	default:
		return string(r.Decision.Reason)
	}
}

// SinceWord says what a fact's instant is: "since", "as of" or "policy read".
func SinceWord(f clerksync.Fact) string {
	switch {
	case f.Name == clerksync.FactFreshness:
		return "as of"
	case f.Cause == clerksync.CausePolicy:
		return "policy read"
	default:
		return "since"
	}
}

// who names the person and, beside the name, the id.
func (a WhyAnswer) who() string {
	if name := Name(a.User.Person); name != a.User.ID {
		return fmt.Sprintf("%s (%s)", name, a.User.ID)
	}
	return a.User.ID
}

// where names the workspace and, beside the name, the id.
func (a WhyAnswer) where() string {
	if name := WorkspaceName(a.Workspace.Name, a.Workspace.ID); name != a.Workspace.ID {
		return fmt.Sprintf("%s (%s)", name, a.Workspace.ID)
	}
	return a.Workspace.ID
}

// Verdict says the answer in a few words, names included: "Jane Doe can't use billing:manage".
func (a WhyAnswer) Verdict() string {
	d := a.Reasoning.Decision
	who := Name(a.User.Person)
	switch {
	case d.Permission == "" && d.Allowed:
		return who + " is a member who may act"
	case d.Permission == "":
		return who + " doesn't count as a member"
	case d.Allowed:
		return who + " can use " + d.Permission
	default:
		return who + " can't use " + d.Permission
	}
}

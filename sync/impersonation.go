package sync

import "slices"

// Impersonation says who acts as the user in a session, and what the policy then withholds. The
// zero value is that of a session in which the user acts.
type Impersonation struct {
	By     string   // the actor, as Clerk names it; "" if the user acts
	Denied []string // permissions that no impersonator has
}

// Judge names the impersonator in a decision. It refuses with [ReasonImpersonationDenied] what the
// decision allows and the policy denies to impersonators. A refusal keeps its reason.
func (i Impersonation) Judge(d Decision) Decision {
	d.Impersonator = i.By
	if d.Allowed && i.denies(d.Permission) {
		d.Allowed, d.Reason = false, ReasonImpersonationDenied
	}
	return d
}

// Left returns those of the user's permissions that the session has. It changes the given list.
func (i Impersonation) Left(permissions []string) []string {
	return slices.DeleteFunc(permissions, i.denies)
}

func (i Impersonation) denies(permission string) bool {
	return i.By != "" && slices.Contains(i.Denied, permission)
}

package health

import (
	"fmt"
	"slices"
	"strings"

	clerksync "github.com/callmine/rolecall/sync"
)

// NoticeName names a notice. The values are labels of metrics and parts of `rolecall status
// --json`.
type NoticeName string

// The notices. docs/operate.md says what each means.
const (
	NoticeListRefused NoticeName = "list_refused"
	NoticeBilling     NoticeName = "billing_unmirrored"
	NoticeNoManager   NoticeName = "no_manager"
)

// NoticeNames lists all notices.
func NoticeNames() []NoticeName {
	return []NoticeName{NoticeListRefused, NoticeBilling, NoticeNoManager}
}

// Notice is a fact that an operator should know, and needn't act upon.
type Notice struct {
	Name   NoticeName `json:"name"`
	Detail string     `json:"detail"` // the state of things
	Advice string     `json:"advice"` // its consequences, and the cure if there is one
}

// notices returns the current notices, in the order of [NoticeNames].
func (s Situation) notices() []Notice {
	found := []Notice{} // in JSON a list, also without any
	for _, check := range []func() (Notice, bool){s.listRefused, s.billingUnmirrored, s.noManager} {
		if n, ok := check(); ok {
			found = append(found, n)
		}
	}
	return found
}

// decidesPermissions reports whether roles' permissions depend on a kind of objects.
func decidesPermissions(kind clerksync.Resource) bool {
	return kind == clerksync.ResourceRole || kind == clerksync.ResourcePermission
}

// refusals returns the refusals of the newest sweep: those of the kinds that decide permissions,
// and the others.
func (s Situation) refusals() (permissions, others []string) {
	for _, f := range s.report.Refused {
		if decidesPermissions(f.Resource) {
			permissions = append(permissions, f.String())
		} else {
			others = append(others, f.String())
		}
	}
	return permissions, others
}

// listRefused: a feature that the instance doesn't have is no fault. For roles and permissions see
// [Situation.rolesRefused].
func (s Situation) listRefused() (Notice, bool) {
	_, words := s.refusals()
	return Notice{
		NoticeListRefused, fmt.Sprintf("%s didn't compare everything: %s", s.report.SweepID, strings.Join(words, "; ")),
		"these objects are neither compared nor removed, and only webhooks change them; turn the feature on at Clerk if you use it",
	}, len(words) > 0
}

// rolesRefused: the permissions of roles aren't compared with Clerk.
func (s Situation) rolesRefused() (Alarm, bool) {
	words, _ := s.refusals()
	return Alarm{
		AlarmRolesRefused, fmt.Sprintf("%s didn't compare what roles permit: %s", s.report.SweepID, strings.Join(words, "; ")),
		"a role has the permissions of its last webhook or, without one, those in the membership; allow the key to list roles and permissions " +
			"at Clerk, or ask Clerk's support with the trace",
	}, len(words) > 0
}

func (s Situation) billingUnmirrored() (Notice, bool) {
	b := s.report.Billing
	if !b.Unmirrored() {
		return Notice{}, false
	}
	return Notice{
		NoticeBilling, fmt.Sprintf("Clerk Billing is on (%d plans for organizations), and Clerk's roles grant %d custom permissions here",
			b.Plans, b.CustomPermissions),
		"Clerk counts a custom permission only while its feature is in the organization's active plan; Rolecall mirrors no plans and " +
			"always counts it: where a plan matters, let your own service check the plan, too",
	}, true
}

// HasNotice reports whether a list has the notice.
func HasNotice(notices []Notice, name NoticeName) bool {
	return slices.ContainsFunc(notices, func(n Notice) bool { return n.Name == name })
}

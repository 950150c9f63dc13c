package health

import (
	"fmt"
	"slices"
	"strings"

	clerksync "github.com/callmine/rolecall/sync"
)

// NoticeName names what an operator should know and need not act upon. The values are metrics'
// labels and parts of `rolecall status --json`.
type NoticeName string

// The notices. docs/operate.md says what each means.
const (
	NoticeListRefused NoticeName = "list_refused"
	NoticeBilling     NoticeName = "billing_unmirrored"
)

// NoticeNames lists all notices.
func NoticeNames() []NoticeName { return []NoticeName{NoticeListRefused, NoticeBilling} }

// Notice is one thing that an operator should know.
type Notice struct {
	Name   NoticeName `json:"name"`
	Detail string     `json:"detail"` // the state of things
	Advice string     `json:"advice"` // its consequences, and the cure if there is one
}

// notices returns what holds now, in the order of [NoticeNames].
func (s Situation) notices() []Notice {
	found := []Notice{} // in JSON a list, also without any
	for _, check := range []func() (Notice, bool){s.listRefused, s.billingUnmirrored} {
		if n, ok := check(); ok {
			found = append(found, n)
		}
	}
	return found
}

// decidesPermissions reports whether what a role permits depends on a kind of objects.
func decidesPermissions(kind clerksync.Resource) bool {
	return kind == clerksync.ResourceRole || kind == clerksync.ResourcePermission
}

// refused returns the refusals of the newest sweep: of the kinds that decide what a role permits,
// or of the others.
func (s Situation) refused(permissions bool) (words []string) {
	for _, f := range s.report.Refused {
		if decidesPermissions(f.Resource) == permissions {
			words = append(words, f.String())
		}
	}
	return words
}

// listRefused: a feature that the instance doesn't have is no fault. For roles and permissions see
// [situation.rolesRefused].
func (s Situation) listRefused() (Notice, bool) {
	words := s.refused(false)
	return Notice{
		NoticeListRefused, fmt.Sprintf("%s didn't compare everything: %s", s.report.SweepID, strings.Join(words, "; ")),
		"these objects are neither compared nor removed, and only webhooks change them; turn the feature on at Clerk if you use it",
	}, len(words) > 0
}

// rolesRefused: the permissions of roles aren't compared with Clerk.
func (s Situation) rolesRefused() (Alarm, bool) {
	words := s.refused(true)
	return Alarm{
		AlarmRolesRefused, fmt.Sprintf("%s didn't compare what roles permit: %s", s.report.SweepID, strings.Join(words, "; ")),
		"a role permits what webhooks told of it or, if none did, what the membership says; allow the key to list roles and permissions " +
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
			"counts it always: where a plan matters, have your own service look at the plan, too",
	}, true
}

// HasNotice reports whether a notice is among others.
func HasNotice(notices []Notice, name NoticeName) bool {
	return slices.ContainsFunc(notices, func(n Notice) bool { return n.Name == name })
}

package sync

// Billing is what Clerk says of its Billing. Where it is on for organizations, Clerk counts a
// custom permission only while its feature is in the organization's active plan. The mirror knows
// no plans.
type Billing struct {
	On    bool // for organizations
	Plans int  // plans of organizations that Clerk lists, as far as its first page says
}

package sync

// Billing is what Clerk says of its Billing feature. Where it is on for organizations, a custom
// permission counts at Clerk only while its feature is in the organization's active plan. The
// mirror has no plans.
type Billing struct {
	On    bool // for organizations
	Plans int  // plans of organizations on Clerk's first page
}

package policy

// The permissions that routes ask for themselves. A policy may grant any others: those of the
// product.
const (
	// None is membership alone.
	None = ""
	// MembersRead denotes permission to list the members.
	MembersRead = "members:read"
	// MembersManage denotes permission to invite, promote and remove.
	MembersManage = "members:manage"
	// WorkspaceUpdate denotes permission to rename a workspace.
	WorkspaceUpdate = "workspace:update"
	// AuditRead denotes permission to read and export the audit log.
	AuditRead = "audit:read"
)

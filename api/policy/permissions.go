package policy

import clerksync "github.com/callmine/rolecall/sync"

// The permissions that the API's own routes need. A policy may also grant any others, for the
// product.
const (
	// None denotes membership alone, without any permission.
	None = ""
	// MembersRead denotes permission to list the members.
	MembersRead = "members:read"
	// MembersManage denotes permission to invite, promote and remove.
	MembersManage = clerksync.MembersManage
	// WorkspaceUpdate denotes permission to rename a workspace.
	WorkspaceUpdate = "workspace:update"
	// AuditRead denotes permission to read and export the audit log.
	AuditRead = "audit:read"
)

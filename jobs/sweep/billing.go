package sweep

import (
	"context"
	"time"

	"github.com/callmine/rolecall/store"
)

// billingTimeout bounds the question for Clerk Billing. Only a notice depends on the answer.
const billingTimeout = 5 * time.Second

// BillingReport says whether Clerk Billing is on. Where it is, Clerk may allow less than the mirror
// does.
type BillingReport struct {
	On                bool `json:"on"`                 // for organizations
	Plans             int  `json:"plans"`              // of organizations
	CustomPermissions int  `json:"custom_permissions"` // that Clerk's roles grant in the mirror, and plans may take away at Clerk
}

// Unmirrored reports whether Clerk may refuse by an organization's plan what the mirror allows.
func (b *BillingReport) Unmirrored() bool { return b != nil && b.On && b.CustomPermissions > 0 }

// askForBilling notes whether Clerk Billing is on. After a failure, the answer that the sweep
// before got still counts. This is the sweep's last call, so that a pause after it delays no
// look-up.
func (r *run) askForBilling(ctx context.Context) {
	if r.cfg.Billing == nil || r.sweep.OrganizationID != "" {
		return
	}
	asking, cancel := context.WithTimeout(ctx, billingTimeout)
	defer cancel()
	r.calls.Add(1)
	billing, err := r.cfg.Billing(asking)
	if err != nil {
		r.cfg.Logger.DebugContext(ctx, "Clerk doesn't say whether its Billing is on", "error", err)
		return
	}
	custom, err := store.CustomPermissions(ctx, r.conn)
	if err != nil {
		return // the next statement meets the same fault of the database
	}
	r.report.Billing = &BillingReport{On: billing.On, Plans: billing.Plans, CustomPermissions: custom}
	if r.report.Billing.Unmirrored() {
		r.cfg.Logger.WarnContext(ctx, "Clerk Billing is on, and the mirror knows no plans: it may allow what a plan refuses at Clerk",
			"sweep_id", r.sweep.Name(), "plans", billing.Plans, "custom_permissions", custom)
	}
}

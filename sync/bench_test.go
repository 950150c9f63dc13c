package sync_test

import (
	"testing"
	"time"

	clerksync "github.com/callmine/rolecall/sync"
)

// BenchmarkDecide measures the longest way through a decision: an allowance on demand, which passes
// every check.
func BenchmarkDecide(b *testing.B) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	standing := clerksync.Standing{
		UserID: "user_1", OrganizationID: "org_a", EverMember: true, Member: true, Role: "org:admin", Revision: 7, AsOf: now,
	}
	demand := clerksync.Freshness{MinRevision: 7, MaxStaleness: time.Minute}
	asThemselves := clerksync.Impersonation{Denied: []string{"billing:manage"}}
	b.ReportAllocs()
	for b.Loop() {
		if d := demand.Judge(asThemselves.Judge(grants.Decide(standing, "billing:manage")), now); !d.Allowed {
			b.Fatal(d.Reason)
		}
	}
}

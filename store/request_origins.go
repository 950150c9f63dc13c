package store

import (
	"context"
	"fmt"
	"net/netip"

	clerksync "github.com/callmine/rolecall/sync"
)

// RequestOrigins returns where the changes came from whose deliveries don't name the actor, by the
// causes of the given entries. One query reads them from the deliveries' bodies, as long as these
// are kept. Without such entries it asks nothing. A client's address is an IP address, or "".
func RequestOrigins(ctx context.Context, db DBTX, entries []clerksync.LoggedEntry) (map[string]clerksync.RequestOrigin, error) {
	var causes []string
	for _, e := range entries {
		if e.ActorUnnamed() {
			causes = append(causes, e.Cause)
		}
	}
	if len(causes) == 0 {
		return nil, nil
	}
	rows, err := queries().BodiesOf(ctx, db, causes)
	if err != nil {
		return nil, fmt.Errorf("read origins of changes: %w", err)
	}
	origins := make(map[string]clerksync.RequestOrigin, len(rows))
	for _, r := range rows {
		o := clerksync.RequestOriginOf([]byte(r.Body))
		address, err := netip.ParseAddr(o.ClientIP)
		if o.ClientIP = ""; err == nil && address.Zone() == "" {
			o.ClientIP = address.String()
		}
		if o != (clerksync.RequestOrigin{}) {
			origins[r.SvixID] = o
		}
	}
	return origins, nil
}

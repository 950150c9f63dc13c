package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// ReadInquiry reads what the mirror knows about a pair: its standing as decisions read it, the
// roles, and where the facts came from. The caller adds what is asked and by which policy. db must
// be a snapshot: then the three are of one moment.
func ReadInquiry(ctx context.Context, db DBTX, p Pair) (clerksync.Inquiry, error) {
	reader := NewStandingReader(db)
	standings, err := reader.Read(ctx, []Pair{p})
	if err != nil {
		return clerksync.Inquiry{}, err
	}
	q := clerksync.Inquiry{Standing: standings[0], Roles: reader.known.Load().Roles}
	r, err := queries().Provenance(ctx, db, dbsqlc.ProvenanceParams{
		OrganizationID: p.OrganizationID, UserID: p.UserID, Managing: clerksync.ManagingPermissions(), Looked: managersLooked, Counted: seatsCounted,
	})
	if err != nil {
		return clerksync.Inquiry{}, fmt.Errorf("read provenance: %w", err)
	}
	q.Provenance = provenanceOf(r)
	q.Provenance.AsOf.Since = q.Standing.AsOf
	return q, nil
}

const (
	// managersLooked is among how many other members those are looked for who may manage members. They
	// mostly joined first: the very first one made the workspace.
	managersLooked = 1000
	// seatsCounted bounds what it costs to count the memberships of a workspace with a limit: some
	// milliseconds.
	seatsCounted = 2000
)

func provenanceOf(r dbsqlc.ProvenanceRow) clerksync.Provenance {
	p := clerksync.Provenance{
		UserKnown: r.UserKnown, OrganizationKnown: r.OrganizationKnown, RoleKeys: r.RoleKeys, HeldByOthers: r.HeldByOthers,
		Seats:        clerksync.Seats{Taken: r.SeatsTaken, Limit: max(0, r.SeatLimit)},
		Account:      origin(ending{r.UserDeletedAt, r.UserDeletedCause}, r.AccountAt, r.AccountCause, r.UserVersion, r.UserCreatedAt),
		Organization: origin(ending{r.OrganizationDeletedAt, r.OrganizationDeletedCause}, r.WorkspaceAt, r.WorkspaceCause, r.OrganizationVersion, r.OrganizationCreatedAt),
		AtClerk:      origin(ending{}, r.ClerkRoleAt, r.ClerkRoleCause, r.ClerkRoleVersion, nil),
		Membership: clerksync.KnownMembership{
			ID: r.MembershipID, InvitedBy: r.InviterID, NamedRole: r.NamedRole, Ended: r.LeftAt != nil,
			Origin: origin(ending{r.LeftAt, r.LeftCause}, r.JoinedAuditedAt, r.JoinedCause, r.JoinedVersion, r.JoinedAt),
			Role:   origin(ending{}, r.RoleAt, r.RoleCause, r.RoleVersion, nil),
		},
	}
	m := &p.Membership
	if r.JoinedAt != nil {
		m.JoinedAt = known(*r.JoinedAt)
	}
	if m.Ended {
		m.RoleHad, m.PermissionsHad = r.Role, r.Permissions
	}
	if m.NamedRole != r.Role { // the role has changed, and not the membership
		m.Role = p.AtClerk
	}
	if r.SweepID != 0 {
		p.AsOf.Cause = clerksync.SweepCause(r.SweepID)
		p.SweepTook = time.Duration(r.SweepSeconds * float64(time.Second))
	}
	p.Policy.ReadAt = known(r.PolicyReadAt)
	return p
}

// ending is the end of an object, if it has ended.
type ending struct {
	at    *time.Time
	cause string
}

// origin says where a state came from: its object's end, else the audit log's entry of the change,
// else the version that wrote it last. Such a version doesn't say when it became so; since does, if
// it is known.
func origin(end ending, audited time.Time, cause string, version json.RawMessage, since *time.Time) clerksync.Origin {
	switch {
	case end.at != nil:
		return clerksync.Origin{Since: *end.at, Cause: end.cause}
	case cause != "":
		return clerksync.Origin{Since: known(audited), Cause: cause}
	}
	var written clerksync.Version
	if len(version) == 0 || json.Unmarshal(version, &written) != nil || written.IsZero() {
		return clerksync.Origin{}
	}
	from := clerksync.Origin{Since: time.UnixMilli(written.OccurredAt).UTC(), Cause: written.DeliveryID}
	if since != nil && !known(*since).IsZero() {
		from.Since = *since
	}
	return from
}

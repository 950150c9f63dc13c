package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// Pair is one user in one organization.
type Pair struct {
	UserID, OrganizationID string
	Sessions               // in which the user asks; none if another caller asks about the user
}

// Sessions are the sessions in which a user asks: the user's own, and the one of an impersonator.
// An impersonator whose account is refused has no session any more. "" stands for none.
type Sessions struct{ SessionID, Impersonator, ImpersonatorSession string }

// StandingReader reads standings, and remembers what the roles permit. With each answer the
// database says by a stamp whether that still holds. If it doesn't, the answer has the roles of its
// moment. So nothing is answered from memory that the database contradicts. A StandingReader is
// safe for concurrent use.
type StandingReader struct {
	db    DBTX
	known atomic.Pointer[knownRoles]
}

// knownRoles are the roles as they were when they got their stamp.
type knownRoles struct {
	Stamp string // "" if the roles never changed; they aren't remembered then
	Roles clerksync.Roles
}

// NewStandingReader returns a reader that remembers nothing yet.
func NewStandingReader(db DBTX) *StandingReader {
	r := &StandingReader{db: db}
	r.known.Store(&knownRoles{})
	return r
}

// Standings returns what a decision needs to know about each pair, in their order and as of one
// moment.
func Standings(ctx context.Context, db DBTX, pairs ...Pair) ([]clerksync.Standing, error) {
	return NewStandingReader(db).Read(ctx, pairs)
}

// Read returns what a decision needs to know about each pair, in their order and as of one moment.
func (s *StandingReader) Read(ctx context.Context, pairs []Pair) ([]clerksync.Standing, error) {
	return s.ReadFrom(ctx, s.db, pairs)
}

// ReadFrom is [StandingReader.Read] on a given connection to the reader's database.
func (s *StandingReader) ReadFrom(ctx context.Context, db DBTX, pairs []Pair) ([]clerksync.Standing, error) {
	known := s.known.Load()
	if len(pairs) == 1 && known.Stamp != "" {
		if standing, ok, err := s.readOne(ctx, db, pairs[0], known); ok || err != nil {
			return []clerksync.Standing{standing}, err
		}
	}
	return s.readAll(ctx, db, pairs, known)
}

// readOne reads a single pair's standing, if it follows from the known roles. It doesn't if they
// aren't the present ones, or if several of them had the membership's key.
func (s *StandingReader) readOne(ctx context.Context, db DBTX, p Pair, known *knownRoles) (standing clerksync.Standing, ok bool, err error) {
	rows, err := queries().Standing(ctx, db, dbsqlc.StandingParams{
		OrganizationID: p.OrganizationID, UserID: p.UserID, SessionID: p.SessionID, ImpersonatorSessionID: p.ImpersonatorSession,
		Impersonator: p.Impersonator, RolesStamp: known.Stamp,
	})
	if err != nil {
		return clerksync.Standing{}, false, fmt.Errorf("read standing: %w", err)
	}
	ok = len(rows) > 0
	for _, r := range rows {
		if !standing.Member { // at most one row is of a member
			standing = standingOf(p, r, known.Roles, func() int64 { ok = false; return 0 })
		}
	}
	return standing, ok, nil
}

// readAll reads the standing of each pair, and the roles if the known ones aren't the present ones.
func (s *StandingReader) readAll(ctx context.Context, db DBTX, pairs []Pair, known *knownRoles) ([]clerksync.Standing, error) {
	params := dbsqlc.StandingsParams{
		RolesStamp: known.Stamp, OrganizationIds: make([]string, len(pairs)), UserIds: make([]string, len(pairs)),
		SessionIds: make([]string, len(pairs)), ImpersonatorSessionIds: make([]string, len(pairs)),
		Impersonators: make([]string, len(pairs)),
	}
	for i, p := range pairs {
		params.OrganizationIds[i], params.UserIds[i] = p.OrganizationID, p.UserID
		params.SessionIds[i], params.ImpersonatorSessionIds[i] = p.SessionID, p.ImpersonatorSession
		params.Impersonators[i] = p.Impersonator
	}
	rows, err := queries().Standings(ctx, db, params)
	if i := slices.IndexFunc(rows, func(r dbsqlc.StandingsRow) bool { return r.Roles != nil }); i >= 0 {
		known, err = s.learn(rows[i].Roles)
	}
	if err != nil {
		return nil, fmt.Errorf("read standings: %w", err)
	}
	standings := make([]clerksync.Standing, len(pairs))
	for _, r := range rows {
		if i := int(r.N) - 1; !standings[i].Member { // at most one row of a pair is of a member
			standings[i] = standingOf(pairs[i], rowOf(r), known.Roles, func() int64 { return writtenAt(r.RoleVersion) })
		}
	}
	return standings, nil
}

// RolesPermit reports whether any role at Clerk had the permission when the roles were last read.
func (s *StandingReader) RolesPermit(permission string) bool {
	return s.known.Load().Roles.Permit(permission)
}

// learn returns the roles of an answer, and remembers them if they have a stamp.
func (s *StandingReader) learn(answered json.RawMessage) (*knownRoles, error) {
	var answer struct {
		Stamp *string         `json:"stamp"`
		Roles json.RawMessage `json:"roles"`
	}
	if err := json.Unmarshal(answered, &answer); err != nil {
		return nil, fmt.Errorf("unpack roles: %w", err)
	}
	roles, err := unpackRoles(answer.Roles)
	if err != nil {
		return nil, err
	}
	known := &knownRoles{Roles: roles}
	if answer.Stamp != nil {
		known.Stamp = *answer.Stamp
		s.known.Store(known)
	}
	return known, nil
}

// unpackRoles reads what the database's function role_keys returns.
func unpackRoles(packed json.RawMessage) (clerksync.Roles, error) {
	var all []struct {
		clerksync.KeyHolder

		Named string `json:"named"`
	}
	if err := json.Unmarshal(packed, &all); err != nil {
		return nil, fmt.Errorf("unpack roles: %w", err)
	}
	roles := clerksync.Roles{}
	for _, role := range all {
		roles[role.Named] = append(roles[role.Named], role.KeyHolder)
	}
	return roles, nil
}

// rowOf returns what both queries say of a pair.
func rowOf(r dbsqlc.StandingsRow) dbsqlc.StandingRow {
	return dbsqlc.StandingRow{
		OrganizationDead: r.OrganizationDead, UserDead: r.UserDead, UserBanned: r.UserBanned, UserDeprovisioned: r.UserDeprovisioned,
		EverMember: r.EverMember, Member: r.Member, Role: r.Role, Permissions: r.Permissions, SessionEnded: r.SessionEnded,
		Revision: r.Revision, AsOf: r.AsOf,
	}
}

// standingOf returns the standing of a pair, with the role that its membership names. roleWrittenAt
// is asked if several roles had that key.
func standingOf(p Pair, r dbsqlc.StandingRow, roles clerksync.Roles, roleWrittenAt func() int64) clerksync.Standing {
	standing := clerksync.Standing{
		UserID: p.UserID, OrganizationID: p.OrganizationID, OrganizationDead: r.OrganizationDead,
		User:       clerksync.UserStatus{Dead: r.UserDead, Banned: r.UserBanned, Deprovisioned: r.UserDeprovisioned, SessionEnded: r.SessionEnded},
		EverMember: r.EverMember, Member: r.Member, Role: r.Role, Permissions: r.Permissions, Revision: r.Revision,
	}
	if r.AsOf.After(time.Unix(0, 0)) {
		standing.AsOf = r.AsOf
	}
	if named, known := roles.Named(r.Role, roleWrittenAt); known {
		standing.Role, standing.Permissions = named.Key, named.Permissions
	}
	return standing
}

// UserStatus returns whether an account may do anything at all, and whether a session in which it
// asks has ended. Nothing is known against an unknown account.
func UserStatus(ctx context.Context, db DBTX, userID string, asking Sessions) (clerksync.UserStatus, error) {
	r, err := queries().UserStatus(ctx, db, dbsqlc.UserStatusParams{
		ID: userID, SessionIds: []string{asking.SessionID, asking.ImpersonatorSession}, Impersonator: asking.Impersonator,
	})
	if err != nil {
		return clerksync.UserStatus{}, fmt.Errorf("read status of user: %w", err)
	}
	return clerksync.UserStatus{Dead: r.Dead, Banned: r.Banned, Deprovisioned: r.Deprovisioned, SessionEnded: r.SessionEnded}, nil
}

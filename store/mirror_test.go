package store_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const t0 = int64(1_790_000_000_000)

// factsOf returns the facts that lock the objects of a mirror: each is the subject of one delivery.
func factsOf(m clerksync.Mirror) []clerksync.Facts {
	var facts []clerksync.Facts
	for id, o := range m.Users {
		facts = append(facts, clerksync.Facts{Subject: id, Users: []clerksync.User{o}})
	}
	for id, o := range m.Organizations {
		facts = append(facts, clerksync.Facts{Subject: id, Organizations: []clerksync.Organization{o}})
	}
	for id, o := range m.Permissions {
		facts = append(facts, clerksync.Facts{Subject: id, Permissions: []clerksync.Permission{o}})
	}
	return append(facts, clerksync.Facts{
		Memberships: slices.Collect(maps.Values(m.Memberships)),
		Invitations: slices.Collect(maps.Values(m.Invitations)),
		Domains:     slices.Collect(maps.Values(m.Domains)),
		Roles:       slices.Collect(maps.Values(m.Roles)),
	})
}

func lock(t require.TestingT, db store.DBTX, m clerksync.Mirror) store.Locked {
	locked, err := store.LockMirror(context.Background(), db, factsOf(m))
	require.NoError(t, err)
	return locked
}

// save writes a mirror as a worker does: it locks first.
func save(t require.TestingT, db store.DBTX, m clerksync.Mirror) {
	require.NoError(t, store.Write(context.Background(), db, lock(t, db, m), store.Writes{Changed: m}, time.Now()))
}

func truncate(t require.TestingT, pool *pgxpool.Pool) {
	_, err := pool.Exec(context.Background(),
		"TRUNCATE rolecall.organizations, rolecall.users, rolecall.memberships, rolecall.member_counts, rolecall.revisions, rolecall.invitations, "+
			"rolecall.domains, rolecall.roles, rolecall.permissions")
	require.NoError(t, err)
}

func TestLaw_AnyMirrorIsReadAsItWasSaved(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	rapid.Check(t, func(r *rapid.T) {
		truncate(r, pool)
		first, second := genMirror(r), genMirror(r)
		require.Equal(r, clerksync.NewMirror(), lock(r, pool, first).Mirror, "nothing is known yet")
		save(r, pool, first)
		require.Equal(r, first, lock(r, pool, first).Mirror)
		save(r, pool, second) // over the first
		require.Equal(r, second, lock(r, pool, second).Mirror)
	})
}

// genMirror draws up to two objects of each kind. Each field is unwritten, or written by one of a
// few deliveries, so that an object's fields have one version in common or several.
func genMirror(r *rapid.T) clerksync.Mirror {
	m := clerksync.NewMirror()
	for range 2 {
		draw(r, m.Organizations, genOrganization)
		draw(r, m.Users, genUser)
		draw(r, m.Memberships, genMembership)
		draw(r, m.Invitations, genInvitation)
		draw(r, m.Domains, genDomain)
		draw(r, m.Roles, genRole)
		draw(r, m.Permissions, genPermission)
	}
	return m
}

// draw adds an object to those of its kind, or none.
func draw[T interface {
	clerksync.Object
	Known() bool
}](r *rapid.T, objects map[string]T, object func(*rapid.T) T) {
	if o := object(r); o.Known() && rapid.Bool().Draw(r, "known") {
		objects[o.ObjectID()] = o
	}
}

// genID draws one of two ids.
func genID(r *rapid.T, prefix string) string {
	return prefix + rapid.SampledFrom([]string{"1", "2"}).Draw(r, "id")
}

// field draws a register.
func field[T any](r *rapid.T, values *rapid.Generator[T]) clerksync.Field[T] {
	version := rapid.SampledFrom([]clerksync.Version{
		{},
		{Rank: clerksync.RankStub, UpdatedAt: t0 + 9, Kind: clerksync.KindUpdated, OccurredAt: t0 + 10, DeliveryID: "msg_stub"},
		{Rank: clerksync.RankFull, UpdatedAt: t0, Kind: clerksync.KindCreated, OccurredAt: t0 + 1, DeliveryID: "msg_1"},
		{Rank: clerksync.RankFull, UpdatedAt: t0, Kind: clerksync.KindDeleted, OccurredAt: t0 + 1, DeliveryID: "msg_2"},
	}).Draw(r, "version")
	if version.IsZero() {
		return clerksync.Field[T]{}
	}
	return clerksync.Field[T]{Value: values.Draw(r, "value"), Version: version}
}

// genText draws a text that Postgres can hold.
func genText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom([]string{"", "null", "{}", `"`, "\u2028é😀"}), rapid.StringMatching(`[^\x00]{0,20}`))
}

func nullable(values *rapid.Generator[string]) *rapid.Generator[*string] {
	return rapid.Ptr(values, true)
}

func genMillis() *rapid.Generator[int64] { return rapid.Int64Range(0, 253_402_300_799_999) }

func genJSON() *rapid.Generator[json.RawMessage] {
	return rapid.Custom(func(r *rapid.T) json.RawMessage {
		return json.RawMessage(rapid.SampledFrom([]string{
			`{}`, `{ "b" : 1, "a":1.50 }`, `{"a":1,"a":2}`, `{"k":"\u0000\ud800"}`, `[]`, `"text"`, `7e400`,
		}).Draw(r, "json"))
	})
}

func genTombstone(r *rapid.T) clerksync.Tombstone {
	t := clerksync.Tombstone{LiftedAt: genMillis().Draw(r, "lifted")}
	if rapid.Bool().Draw(r, "dead") {
		t.OccurredAt, t.DeliveryID = max(1, genMillis().Draw(r, "deleted")), "msg_deleted"
		t.ReceivedAt = genMillis().Draw(r, "received")
	}
	return t
}

func genOrganization(r *rapid.T) clerksync.Organization {
	return clerksync.Organization{
		Reference: clerksync.Reference{ID: genID(r, "org_")},
		Name:      field(r, genText()), Slug: field(r, nullable(genText())), ImageURL: field(r, nullable(genText())),
		RoleSetKey: field(r, nullable(genText())), MaxMemberships: field(r, rapid.Int64Range(0, 9)),
		CreatedBy: field(r, nullable(genText())), CreatedAt: field(r, genMillis()), PublicMetadata: field(r, genJSON()),
		Tombstone: genTombstone(r),
	}
}

func genUser(r *rapid.T) clerksync.User {
	return clerksync.User{
		Reference:  clerksync.Reference{ID: genID(r, "user_")},
		Identifier: field(r, nullable(genText())), FirstName: field(r, nullable(genText())),
		LastName: field(r, nullable(genText())), ImageURL: field(r, nullable(genText())), Banned: field(r, rapid.Bool()),
		Deprovisioned: field(r, rapid.Bool()), CreatedAt: field(r, genMillis()), Tombstone: genTombstone(r),
	}
}

func genMembership(r *rapid.T) clerksync.Membership {
	return clerksync.Membership{
		Reference: clerksync.Reference{ID: genID(r, "orgmem_"), OrganizationID: "org_1", UserID: "user_1"},
		Role:      field(r, genText()), RoleName: field(r, nullable(genText())),
		Permissions: field(r, rapid.SliceOfN(genText(), 0, 3)), CreatedAt: field(r, genMillis()),
		PublicMetadata: field(r, genJSON()), AliveAt: genMillis().Draw(r, "alive at"), Tombstone: genTombstone(r),
	}
}

func genInvitation(r *rapid.T) clerksync.Invitation {
	return clerksync.Invitation{
		Reference: clerksync.Reference{ID: genID(r, "orginv_"), OrganizationID: "org_1"},
		Email:     field(r, genText()), Role: field(r, genText()), Status: field(r, genText()),
		InviterID: field(r, nullable(genText())), UserID: field(r, nullable(genText())), CreatedAt: field(r, genMillis()),
		ExpiresAt: field(r, rapid.Ptr(genMillis(), true)), Tombstone: genTombstone(r),
	}
}

func genDomain(r *rapid.T) clerksync.Domain {
	return clerksync.Domain{
		Reference:      clerksync.Reference{ID: genID(r, "orgdmn_"), OrganizationID: rapid.SampledFrom([]string{"", "org_1"}).Draw(r, "of")},
		Name:           field(r, genText()),
		EnrollmentMode: field(r, genText()), Verification: field(r, genText()), CreatedAt: field(r, genMillis()),
		Tombstone: genTombstone(r),
	}
}

func genRole(r *rapid.T) clerksync.Role {
	return clerksync.Role{
		Reference: clerksync.Reference{ID: genID(r, "role_")},
		Key:       field(r, genText()), Keys: rapid.SampledFrom([]map[string][]int64{nil, {"org:a": {1}}, {"org:a": {1, 5}, "org:b": {t0}}}).Draw(r, "keys"),
		Name: field(r, genText()), PermissionIDs: field(r, rapid.SliceOfN(genText(), 0, 3)), Tombstone: genTombstone(r),
	}
}

func genPermission(r *rapid.T) clerksync.Permission {
	return clerksync.Permission{Reference: clerksync.Reference{ID: genID(r, "perm_")}, Key: field(r, genText()), Name: field(r, genText()), Tombstone: genTombstone(r)}
}

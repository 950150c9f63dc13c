package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// appendEvents appends n plain events to an organization's log.
func appendEvents(t *testing.T, db store.DBTX, organizationID string, n int) {
	t.Helper()
	for i := range n {
		_, _, err := store.AppendEvent(t.Context(), db, store.Event{
			OrganizationID: organizationID, Actor: "user_1", Action: "report.run", Target: fmt.Sprint("report_", i+1),
			Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)), Cause: "service:reports",
		}, store.CommandKey{})
		require.NoError(t, err)
	}
}

// verify verifies a chain as one state of the database.
func verify(t require.TestingT, pool *pgxpool.Pool, organizationID string) (report store.ChainReport) {
	ctx := context.Background()
	require.NoError(t, pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		report, err = store.VerifyChain(ctx, tx, organizationID, clerksync.Mark{})
		return err
	}))
	return report
}

// genLoggedJSON draws JSON with any order of keys, big numbers, escapes and spaces.
func genLoggedJSON() *rapid.Generator[json.RawMessage] {
	return rapid.Custom(func(r *rapid.T) json.RawMessage {
		if rapid.Bool().Draw(r, "null") {
			return nil
		}
		if text := rapid.SampledFrom([]string{
			`null`, `{}`, `{"b":1,"a":2,"b":3}`, `{"n":123456789012345678901234567890.123e-9}`, ` {"a" : "\u00e9\u0000\ud83d\ude00é😀" } `, `{"x":1e400}`, "",
		}).Draw(r, "text"); text != "" {
			return json.RawMessage(text)
		}
		raw, err := json.Marshal(map[string]string{genText().Draw(r, "key"): genText().Draw(r, "value")})
		require.NoError(r, err)
		return raw
	})
}

// TestLaw_GoAndSQLHashAlike: the two are written independently.
func TestLaw_GoAndSQLHashAlike(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	var recorded int64
	rapid.Check(t, func(r *rapid.T) {
		var actor *string
		if rapid.Bool().Draw(r, "actor") {
			actor = new(genText().Draw(r, "actor"))
		}
		var impersonator *string
		if rapid.Bool().Draw(r, "impersonated") {
			impersonator = new(genText().Draw(r, "impersonator"))
		}
		at := time.UnixMicro(rapid.Int64Range(-62_135_596_800_000_000, 253_402_300_799_999_999).Draw(r, "at"))
		_, err := pool.Exec(t.Context(), `INSERT INTO rolecall.audit_log (organization_id, actor, action, target, before, after, data, at, cause, impersonator)
			VALUES ('org_1', $1, $2, $3, $4, $5, $6, $7, $8, $9)`, actor, genText().Draw(r, "action"), genText().Draw(r, "target"),
			genLoggedJSON().Draw(r, "before"), genLoggedJSON().Draw(r, "after"), genLoggedJSON().Draw(r, "data"), at, genText().Draw(r, "cause"), impersonator)
		require.NoError(r, err)
		recorded++
	})
	report := verify(t, pool, "org_1")
	require.Nil(t, report.Broken)
	require.Equal(t, recorded, report.Entries)
	require.Positive(t, recorded)
}

// TestAuditChain_EntryIsHashedAsDocumented holds the encoding against a value that was made by
// hand. It must never change.
func TestAuditChain_EntryIsHashedAsDocumented(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	_, err := pool.Exec(t.Context(), `INSERT INTO rolecall.audit_log (organization_id, actor, action, target, data, at, cause) VALUES
		('org_1', NULL, 'report.run', 'é', '{"b": 1, "a": null}', '2026-01-02T03:04:05.678901Z', 'service:reports')`)
	require.NoError(t, err)
	var agreed bool
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT hash = sha256(convert_to(
		'17:rolecall.audit.v10:1:15:org_1-10:report.run2:é--19:{"b": 1, "a": null}16:176732304567890115:service:reports', 'UTF8'))
		FROM rolecall.audit_log`).Scan(&agreed))
	require.True(t, agreed)
	_, err = pool.Exec(t.Context(), `INSERT INTO rolecall.audit_log (organization_id, actor, impersonator, action, target, at, cause) VALUES
		('org_2', 'user_1', 'kim@b.test', 'report.run', 'é', '2026-01-02T03:04:05.678901Z', 'service:reports')`)
	require.NoError(t, err)
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT hash = sha256(convert_to(
		'17:rolecall.audit.v20:1:15:org_26:user_110:report.run2:é---16:176732304567890115:service:reports10:kim@b.test', 'UTF8'))
		FROM rolecall.audit_log WHERE organization_id = 'org_2'`).Scan(&agreed))
	require.True(t, agreed)
	require.Nil(t, verify(t, pool, "org_1").Broken)
	require.Nil(t, verify(t, pool, "org_2").Broken)
}

// TestAuditChain_ImpersonatorCannotComeOrGo without a trace.
func TestAuditChain_ImpersonatorCannotComeOrGo(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"added":   "SET impersonator = 'user_3' WHERE seq = 1",
		"empty":   "SET impersonator = '' WHERE seq = 1",
		"taken":   "SET impersonator = NULL WHERE seq = 2",
		"changed": "SET impersonator = 'user_3' WHERE seq = 2",
		"moved":   "SET impersonator = '2', cause = cause || '6:user_' WHERE seq = 2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t)
			for _, impersonator := range []string{"", "user_2"} {
				_, _, err := store.AppendEvent(t.Context(), pool, store.Event{
					OrganizationID: "org_1", Actor: "user_1", Impersonator: impersonator, Action: "report.run", Target: "r", Cause: "service:reports",
				}, store.CommandKey{})
				require.NoError(t, err)
			}
			require.Equal(t, int64(2), verify(t, pool, "org_1").Entries)
			tampering(t, pool, "UPDATE rolecall.audit_log "+change)
			broken := verify(t, pool, "org_1").Broken
			require.NotNil(t, broken)
			require.Equal(t, clerksync.TamperedChanged, broken.Tampering)
		})
	}
}

// tampering drops the append-only trigger, as only the owner of the table can, and changes the log
// of org_1.
func tampering(t *testing.T, pool *pgxpool.Pool, statements ...string) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		for _, sql := range append([]string{"ALTER TABLE rolecall.audit_log DISABLE TRIGGER USER", "DROP INDEX rolecall.audit_log_chain"}, statements...) {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	}))
}

func TestAuditChain_TamperingIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	const (
		rehash = "UPDATE rolecall.audit_log l SET hash = rolecall.audit_hash(seq, prev_hash, rolecall.audit_content(organization_id, actor, action, target, before::text, after::text, data::text, at, cause), impersonator) WHERE organization_id = 'org_1' AND seq = 4"
		forge  = `INSERT INTO rolecall.audit_log (organization_id, actor, action, target, at, cause, seq, prev_hash, hash)
			SELECT organization_id, 'user_evil', action, 'forged', at, cause, %d, %s FROM rolecall.audit_log WHERE organization_id = 'org_1' AND seq = %d`
		up   = "UPDATE rolecall.audit_log SET seq = seq + 1 WHERE organization_id = 'org_1' AND seq >= 4"
		down = "UPDATE rolecall.audit_log SET seq = seq - 1 WHERE organization_id = 'org_1' AND seq > 4"
		swap = "UPDATE rolecall.audit_log SET seq = CASE seq WHEN %[1]d THEN %[2]d ELSE %[1]d END WHERE organization_id = 'org_1' AND seq IN (%[1]d, %[2]d)"
		take = "DELETE FROM rolecall.audit_log WHERE organization_id = 'org_1' AND seq = 4"
	)
	set := func(what string) string {
		return "UPDATE rolecall.audit_log SET " + what + " WHERE organization_id = 'org_1' AND seq = 4"
	}
	type want struct {
		what clerksync.Tampering
		seq  int64
	}
	for name, test := range map[string]struct {
		want want
		sql  []string
	}{
		"actor":              {want{"changed", 4}, []string{set("actor = 'user_evil'")}},
		"actor to null":      {want{"changed", 4}, []string{set("actor = NULL")}},
		"action":             {want{"changed", 4}, []string{set("action = 'report.deleted'")}},
		"target":             {want{"changed", 4}, []string{set("target = ''")}},
		"before":             {want{"changed", 4}, []string{set("before = '{}'")}},
		"after":              {want{"changed", 4}, []string{set("after = 'null'")}},
		"data by a space":    {want{"changed", 4}, []string{set(`data = '{"n": 3}'`)}},
		"at by a moment":     {want{"changed", 4}, []string{set("at = at + interval '1 microsecond'")}},
		"cause":              {want{"changed", 4}, []string{set("cause = 'service:other'")}},
		"between fields":     {want{"changed", 4}, []string{set("action = action || 'r', target = substr(target, 2)")}},
		"to another's log":   {want{"missing", 4}, []string{set("organization_id = 'org_9'")}},
		"hash":               {want{"changed", 4}, []string{set(`hash = '\x00'`)}},
		"link":               {want{"changed", 4}, []string{set(`hash = '\x00', prev_hash = '\x00'`)}},
		"hashed anew":        {want{"changed", 4}, []string{set("actor = 'user_evil'"), rehash}},
		"the last":           {want{"changed", 9}, []string{"UPDATE rolecall.audit_log SET actor = 'x' WHERE seq = 9"}},
		"the first":          {want{"changed", 1}, []string{"UPDATE rolecall.audit_log SET actor = 'x' WHERE seq = 1"}},
		"taken out":          {want{"missing", 4}, []string{take}},
		"the first taken":    {want{"missing", 1}, []string{"DELETE FROM rolecall.audit_log WHERE seq = 1"}},
		"taken, closed up":   {want{"missing", 4}, []string{take, down}},
		"the last taken":     {want{"missing", 9}, []string{"DELETE FROM rolecall.audit_log WHERE seq = 9"}},
		"cut off":            {want{"missing", 3}, []string{"DELETE FROM rolecall.audit_log WHERE seq > 2"}},
		"emptied":            {want{"missing", 1}, []string{"TRUNCATE rolecall.audit_log"}},
		"put on top":         {want{"inserted", 10}, []string{fmt.Sprintf(forge, 10, "hash, hash", 9)}},
		"put on top, hashed": {want{"inserted", 10}, []string{`INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause, seq, prev_hash, hash) SELECT 'org_1', 'a.b', 'x', at, 'x', 10, hash, rolecall.audit_hash(10, hash, rolecall.audit_content('org_1', NULL, 'a.b', 'x', NULL, NULL, NULL, at, 'x'), NULL) FROM rolecall.audit_log WHERE seq = 9`}},
		"put between":        {want{"inserted", 4}, []string{up, fmt.Sprintf(forge, 4, `'\x01', '\x02'`, 3)}},
		"put between, hashed": {want{"inserted", 4}, []string{
			up, fmt.Sprintf(forge, 4, `hash, '\x02'`, 3), rehash,
		}},
		"twice":           {want{"inserted", 3}, []string{fmt.Sprintf(forge, 3, "prev_hash, hash", 3)}},
		"below the first": {want{"inserted", -5}, []string{fmt.Sprintf(forge, -5, "prev_hash, hash", 3)}},
		"below all numbers": {want{"inserted", math.MinInt64}, []string{`INSERT INTO rolecall.audit_log (id, organization_id, action, target, at, cause, seq, prev_hash, hash)
			OVERRIDING SYSTEM VALUE VALUES (-9223372036854775808, 'org_1', 'a.b', 'x', now(), 'x', -9223372036854775808, '', '')`}},
		"no instant":          {want{"changed", 4}, []string{set("at = 'infinity'")}},
		"no text":             {want{"changed", 4}, []string{"ALTER TABLE rolecall.audit_log ALTER cause DROP NOT NULL", set("cause = NULL")}},
		"no instant on top":   {want{"inserted", 10}, []string{strings.Replace(fmt.Sprintf(forge, 10, "hash, hash", 9), "action, 'forged', at", "action, 'forged', 'infinity'", 1)}},
		"no head to read":     {want{"inserted", 1}, []string{"ALTER TABLE rolecall.audit_heads ALTER seq DROP NOT NULL", "UPDATE rolecall.audit_heads SET seq = NULL WHERE organization_id = 'org_1'"}},
		"neighbours swapped":  {want{"reordered", 4}, []string{fmt.Sprintf(swap, 4, 5)}},
		"swapped":             {want{"reordered", 3}, []string{fmt.Sprintf(swap, 3, 8)}},
		"first and last":      {want{"reordered", 1}, []string{fmt.Sprintf(swap, 1, 9)}},
		"replaced":            {want{"changed", 4}, []string{take, fmt.Sprintf(forge, 4, `'\x01', '\x02'`, 3)}},
		"head taken":          {want{"inserted", 1}, []string{"DELETE FROM rolecall.audit_heads WHERE organization_id = 'org_1'"}},
		"head and tail moved": {want{"changed", 8}, []string{"DELETE FROM rolecall.audit_log WHERE seq = 9", "UPDATE rolecall.audit_heads SET seq = 8 WHERE organization_id = 'org_1'"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t)
			appendEvents(t, pool, "org_1", 9)
			appendEvents(t, pool, "org_2", 2)
			require.Nil(t, verify(t, pool, "org_1").Broken)
			tampering(t, pool, test.sql...)
			broken := verify(t, pool, "org_1").Broken
			require.NotNil(t, broken)
			require.Equal(t, test.want, want{broken.Tampering, broken.Seq}, broken.Detail)
		})
	}
}

// TestAuditChain_UnreadableEntryIsNamed, however many can be read. The readable ones are still
// listed.
func TestAuditChain_UnreadableEntryIsNamed(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	appendEvents(t, pool, "org_1", 250) // more than one batch
	tampering(t, pool, "UPDATE rolecall.audit_log SET at = '-infinity' WHERE seq = 230")
	report := verify(t, pool, "org_1")
	require.NotNil(t, report.Broken)
	require.Equal(t, clerksync.TamperedChanged, report.Broken.Tampering)
	require.EqualValues(t, 230, report.Broken.Seq)
	require.EqualValues(t, 229, report.Entries)
	listed, err := store.AuditEntries(t.Context(), pool, store.AuditQuery{OrganizationID: "org_1"}, 1000)
	require.NoError(t, err)
	require.Len(t, listed, 249)
}

// TestAuditChain_EveryInsertIsChained, also one with a forged place in the chain.
func TestAuditChain_EveryInsertIsChained(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	_, err := pool.Exec(t.Context(), `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause, seq, prev_hash, hash)
		SELECT 'org_1', 'a.b', 't', now(), 'c', 77, '\x01', '\x02' FROM generate_series(1, 500)`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ('org_1', 'a.b', NULL, now(), 'c')")
	require.Error(t, err)
	report := verify(t, pool, "org_1")
	require.Nil(t, report.Broken)
	require.EqualValues(t, 500, report.Entries, "more than one batch, and the one that failed left no gap")
}

// TestAppendEvent_KeyAppendsOnce, also if many callers use it at once.
func TestAppendEvent_KeyAppendsOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	event := store.Event{OrganizationID: "org_1", Actor: "user_1", Action: "report.run", Target: "r", Cause: "service:reports"}
	key := store.CommandKey{Digest: []byte("k"), Request: []byte("body")}
	entries := make([]clerksync.LoggedEntry, 32)
	first := make([]bool, len(entries))
	var group errgroup.Group
	for i := range entries {
		group.Go(func() error {
			entry, repeated, err := store.AppendEvent(t.Context(), pool, event, key)
			entries[i], first[i] = entry, !repeated
			return err
		})
	}
	require.NoError(t, group.Wait())
	firsts := 0
	for i, e := range entries {
		require.Equal(t, entries[0], e)
		if first[i] {
			firsts++
		}
	}
	require.Equal(t, 1, firsts)
	_, _, err := store.AppendEvent(t.Context(), pool, event, store.CommandKey{Digest: []byte("k"), Request: []byte("another")})
	require.ErrorIs(t, err, clerksync.ErrKeyReused)
	for _, other := range []store.CommandKey{{Digest: []byte("k2"), Request: []byte("body")}, {}, {}} {
		_, repeated, err := store.AppendEvent(t.Context(), pool, event, other)
		require.NoError(t, err)
		require.False(t, repeated)
	}
	report := verify(t, pool, "org_1")
	require.Nil(t, report.Broken)
	require.EqualValues(t, 4, report.Entries)
}

// TestAuditChain_ManyWriters: 32 writers at once on three organizations and the instance, in
// different orders.
func TestAuditChain_ManyWriters(t *testing.T) {
	t.Parallel()
	const writers, rounds = 32, 12
	cfg := pgtest.New(t).Config()
	cfg.MaxConns = writers
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	organizations := []string{"org_1", "org_2", "org_3", ""}
	var group errgroup.Group
	for writer := range writers {
		group.Go(func() error {
			for round := range rounds {
				if err := write(t.Context(), pool, organizations, writer, round); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	var total int64
	for _, organization := range organizations {
		report := verify(t, pool, organization)
		require.Nil(t, report.Broken)
		total += report.Entries
	}
	require.EqualValues(t, writers/2*rounds*(len(organizations)+1), total)
}

// write appends one event, or finishes a change of all organizations at once.
func write(ctx context.Context, pool *pgxpool.Pool, organizations []string, writer, round int) error {
	if writer%2 == 0 {
		_, _, err := store.AppendEvent(ctx, pool, store.Event{
			OrganizationID: organizations[(writer+round)%3], Actor: "service:s", Action: "a.b", Target: "t", Cause: "service:s",
		}, store.CommandKey{Digest: []byte(fmt.Sprint(writer, " ", round)), Request: []byte{1}})
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		changed := clerksync.NewMirror()
		var entries []clerksync.AuditEntry
		for i := range organizations {
			id := organizations[(i*(1+writer%3)+writer+round)%len(organizations)]
			if writer%3 == 1 { // the other way round
				id = organizations[(writer+round+len(organizations)-i)%len(organizations)]
			}
			entries = append(entries, clerksync.AuditEntry{OrganizationID: id, Action: clerksync.ActionWorkspaceRenamed, Target: id, Cause: "msg"})
			if id != "" && writer%4 == 1 { // the other writers change no organization, as an account's ban does
				m := membership(fmt.Sprint("orgmem_", writer, "_", round, "_", i), id, "user_1", int64(round))
				changed.Memberships[m.ID] = m
			}
		}
		err := store.Write(ctx, tx, store.Locked{}, store.Writes{Entries: entries, Changed: changed}, time.Now())
		return errors.Join(err, ctx.Err())
	})
}

package jobs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestErase_KnowsEachColumn of the database that can hold text: whether it can name a person, and
// then what takes that out. A new column fails until it is listed.
func TestErase_KnowsEachColumn(t *testing.T) {
	t.Parallel()
	erased := strings.Fields(`users.identifier users.first_name users.last_name users.image_url memberships.public_metadata
		invitations.email deliveries.body deliveries.last_error audit_log.target audit_log.before audit_log.after audit_log.data
		commands.outcome commands.answer commands.request_id river_job.errors`)
	workspaces := strings.Fields(`organizations.name organizations.slug organizations.public_metadata`) // of deleted ones, they go; the report names the others
	harmless := map[string]string{                                                                      // by table and column, or by the column of any table
		"ids": `unpublished.entry_ids feed.old_chain id user_id organization_id svix_id object_id instance_id inviter_id process_id leader_id created_by permission_ids
			river_job.args river_job.attempted_by river_notification.payload commands.actor commands.target impersonator audit_log.actor`,
		"hashes":               `hash prev_hash digest id_hash token_hash body_sha256 unique_key audit_keys.key audit_keys.request commands.key commands.request`,
		"versions and causes":  `version field_versions cause deleted_cause shown_by`,
		"counts, with ids":     `sweeps.report sweeps.progress needs_round.counts needs_round.position measurements.waits clerk_calls.sent clerk_calls.sent_at unique_states`,
		"of Clerk's settings":  `roles.key roles.keys roles.name permissions.key permissions.name memberships.permissions memberships.role_name organizations.role_set_key role permission`,
		"of the workspace":     `organizations.image_url domains.name domains.enrollment_mode domains.verification`,
		"words of the program": `action state status event_type resource difference need trigger reason change kind queue tags topic line river_leader.name river_queue.name`,
		"of the installation":  `system_identifier host_name operator river_job.metadata river_queue.metadata`,
	}
	b := setup(t)
	rows, err := b.Pool.Query(t.Context(), `SELECT c.table_name || '.' || c.column_name FROM information_schema.columns c
		JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.table_type = 'BASE TABLE'
		WHERE c.table_schema = 'rolecall' AND c.data_type NOT IN ('bigint', 'integer', 'smallint', 'boolean', 'timestamp with time zone',
			'timestamp without time zone', 'interval', 'uuid')
		ORDER BY 1`)
	require.NoError(t, err)
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	known := map[string]bool{}
	for _, names := range append(slices.Collect(maps.Values(harmless)), strings.Join(erased, " "), strings.Join(workspaces, " ")) {
		for name := range strings.FieldsSeq(names) {
			known[name] = true
		}
	}
	for _, name := range columns {
		_, column, _ := strings.Cut(name, ".")
		require.True(t, known[name] || known[column], "%s is new: can it name a person? Then erase it, too", name)
	}
	for _, name := range slices.Concat(erased, workspaces) {
		require.Contains(t, columns, name)
	}
}

// TestErase_GoesOnAfterALateDelivery: the bodies of deliveries that waited, or came later, go once
// they are applied.
func TestErase_GoesOnAfterALateDelivery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Deliver(t, mirrortest.Joined(t, "msg_1", "orgmem_1", "org_1", "user_1"))
	b.Deliver(t, mirrortest.Joined(t, "msg_2", "orgmem_2", "org_1", "user_2"))
	_, err := Erase(t.Context(), b.Pool, "user_1", ErasureOptions{})
	require.ErrorIs(t, err, ErrNotGone)
	done, err := Erase(t.Context(), b.Pool, "user_1", ErasureOptions{Force: true})
	require.NoError(t, err)
	require.Equal(t, 1, done.Bodies)
	bodies := func() string {
		var left string
		require.NoError(t, b.Pool.QueryRow(t.Context(), "SELECT string_agg(svix_id, ' ' ORDER BY svix_id) FROM rolecall.deliveries WHERE body IS NOT NULL").Scan(&left))
		return left
	}
	require.Equal(t, "msg_2", bodies())
	b.Deliver(t, mirrortest.Joined(t, "msg_3", "orgmem_3", "org_3", "user_1"))
	b.Exec(t, "INSERT INTO rolecall.deliveries SELECT 'msg_4', event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, 'received' FROM rolecall.deliveries WHERE svix_id = 'msg_3'")
	require.Equal(t, "msg_2 msg_3 msg_4", bodies())
	require.NoError(t, CutAndErase(t.Context(), b.Pool, 0))
	require.Equal(t, "msg_2 msg_4", bodies(), "what waits is applied first")
	b.Exec(t, "UPDATE rolecall.deliveries SET state = 'applied', received_at = received_at - interval '1 hour' WHERE svix_id = 'msg_4'")
	b.Exec(t, "UPDATE rolecall.erasures SET checked_at = checked_at - interval '1 hour'")
	require.NoError(t, CutAndErase(t.Context(), b.Pool, 0))
	require.Equal(t, "msg_2", bodies())
}

// TestErase_AndCut: a chain that was erased from and then cut verifies, and so does one that was
// cut before. The instance's chain keeps each voucher as long as it is needed.
func TestErase_AndCut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Deliver(t, mirrortest.Joined(t, "msg_1", "orgmem_1", "org_1", "user_1"))
	now := time.Now()
	for _, org := range []string{"org_9", "org_8"} {
		for n := range 4 {
			appendEntry(t, b.Pool, org, "invitation.revoked", "orginv_1", "", `{"email":"person@mail.test","role":"org:member"}`, now.AddDate(0, 0, -40+10*n))
		}
	}
	b.Exec(t, "UPDATE rolecall.users SET identifier = 'person@mail.test' WHERE id = 'user_1'")
	intact := func(step string, erased int64) {
		t.Helper()
		var found int64
		for _, org := range []string{"", "org_1", "org_8", "org_9"} {
			report := verifyChain(t, b.Pool, org, clerksync.Mark{})
			require.Nil(t, report.Broken, "%s: %q", step, org)
			found += report.Erased
		}
		require.Equal(t, erased, found, step)
	}
	require.NoError(t, CutLog(t.Context(), b.Pool, now.AddDate(0, 0, -35), 0))
	intact("cut", 0)
	_, err := Erase(t.Context(), b.Pool, "user_1", ErasureOptions{Force: true})
	require.NoError(t, err)
	intact("cut, erased", 6)
	require.NoError(t, CutLog(t.Context(), b.Pool, now.AddDate(0, 0, -15), 0))
	intact("cut, erased, cut", 2)
	appendEntry(t, b.Pool, "", "operator.signed_in", "ops", "", "", now.AddDate(0, 0, 1))
	require.NoError(t, CutLog(t.Context(), b.Pool, now.AddDate(0, 0, 1), 0))
	intact("the instance's chain cut, too", 2)
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.audit_log WHERE action = 'operator.erased'"), "it still vouches")
}

// TestErase_TakesNobodyElsesBodies also if the other one has a longer id, a longer address, or the
// same picture. A body that spells the person's texts with escapes goes.
func TestErase_TakesNobodyElsesBodies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	user := func(svixID, id, email string) clerksync.Delivery {
		return mirrortest.Event(t, svixID, "user.created", 1, map[string]any{
			"id": id, "first_name": "Zoë", "last_name": "of " + id, "profile_image_url": "https://www.gravatar.com/avatar?d=mp",
			"email_addresses": []any{map[string]any{"id": "idn_" + id, "email_address": email}}, "primary_email_address_id": "idn_" + id,
			"public_metadata": map[string]any{"manager": "boss@mail.test"}, "created_at": mirrortest.T0, "updated_at": mirrortest.T0,
		})
	}
	b.Deliver(t, user("msg_1", "user_1", "zoé@mail.test"))
	b.Deliver(t, user("msg_2", "user_12", "azoé@mail.test"))
	b.Deliver(t, user("msg_3", "user_3", "boss@mail.test"))
	for svixID, body := range map[string]string{"msg_4": `{"to":"ZO\u00c9@mail.test"}`, "msg_5": `no JSON: "ZOÉ@mail.test`, "msg_6": `{"to":"azo\u00e9@mail.test"}`} {
		b.Exec(t, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state)
			SELECT $1, event_type, object_id, organization_id, instance_id, occurred_at, received_at, $2, body_sha256, 'quarantined'
			FROM rolecall.deliveries WHERE svix_id = 'msg_1'`, svixID, body)
	}
	done, err := Erase(t.Context(), b.Pool, "user_1", ErasureOptions{Force: true})
	require.NoError(t, err)
	require.Equal(t, 3, done.Bodies)
	require.Equal(t, "msg_2 msg_3 msg_6", b.bodies(t))
}

func (b *bundle) bodies(t *testing.T) (svixIDs string) {
	t.Helper()
	require.NoError(t, b.Pool.QueryRow(t.Context(),
		"SELECT coalesce(string_agg(svix_id, ' ' ORDER BY svix_id), '') FROM rolecall.deliveries WHERE body IS NOT NULL").Scan(&svixIDs))
	return svixIDs
}

// TestErase_AlsoWhatCameLater: memberships that an erased user gets later have no metadata, and
// what the first erasure has forgotten can be told to a second one.
func TestErase_AlsoWhatCameLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Deliver(t, mirrortest.Joined(t, "msg_1", "orgmem_1", "org_1", "user_1"))
	_, err := Erase(t.Context(), b.Pool, "user_1", ErasureOptions{Force: true})
	require.NoError(t, err)
	later := func(svixID, membershipID, userID string) clerksync.Delivery {
		return mirrortest.Event(t, svixID, "organizationMembership.created", 2, map[string]any{
			"id": membershipID, "role": "org:member", "created_at": mirrortest.T0, "updated_at": mirrortest.T0 + 2, "public_metadata": map[string]any{"nick": "kimchi"},
			"organization": map[string]any{"id": "org_2", "name": "South"}, "public_user_data": map[string]any{"user_id": userID, "first_name": "Kim"},
		})
	}
	b.Deliver(t, later("msg_2", "orgmem_2", "user_1"))
	b.Deliver(t, later("msg_3", "orgmem_3", "user_2"))
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.memberships WHERE public_metadata::text LIKE '%kimchi%'"), "the other user's")

	appendEntry(t, b.Pool, "org_1", "mail.sent", "kim@mail.test", "", `{"q":"/users?q=kim%40mail.test"}`, time.Now())
	done, err := Erase(t.Context(), b.Pool, "user_1", ErasureOptions{Force: true})
	require.NoError(t, err)
	require.Zero(t, done.Entries)
	done, err = Erase(t.Context(), b.Pool, "user_1", ErasureOptions{Force: true, Also: []string{"Kim@mail.test"}})
	require.NoError(t, err)
	require.Equal(t, 1, done.Entries)
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.audit_log WHERE strpos(concat(target, data::text), 'kim') > 0"))
	require.Nil(t, verifyChain(t, b.Pool, "org_1", clerksync.Mark{}).Broken)
}

// described is a webhook about a user with two addresses, a picture that others have, too, and
// metadata that name a colleague.
func described(t *testing.T, svixID, userID string) clerksync.Delivery {
	t.Helper()
	kim := strings.Replace(userID, "user_", "kim-", 1)
	return mirrortest.Event(t, svixID, "user.created", 1, map[string]any{
		"id": userID, "first_name": "Kim", "last_name": userID, "image_url": "https://img.test/default.png", "primary_email_address_id": userID + "_1",
		"email_addresses": []map[string]any{
			{"id": userID + "_1", "email_address": kim + "@work.test"}, {"id": userID + "_2", "email_address": kim + "@home.test"},
		},
		"public_metadata": map[string]any{
			"manager": map[string]any{"email": "kim-2@work.test", "first_name": "Big", "last_name": "Boss"}, "since": "2024-01-01", "site": "https://firm.test",
		},
		"created_at": mirrortest.T0, "updated_at": mirrortest.T0,
	})
}

func invited(t *testing.T, svixID, eventType, id, email, status string) clerksync.Delivery {
	t.Helper()
	return mirrortest.Event(t, svixID, eventType, 1, map[string]any{
		"id": id, "email_address": email, "organization_id": "org_1", "role": "org:member", "status": status,
		"created_at": mirrortest.T0, "updated_at": mirrortest.T0,
	})
}

// TestErase_GoesOnAfterAnInterruption: whatever step fails, another run finds all that the first
// one would have found.
func TestErase_GoesOnAfterAnInterruption(t *testing.T) {
	t.Parallel()
	for name, failing := range map[string]string{
		"entries":     "UPDATE ON rolecall.audit_log FOR EACH ROW",
		"bodies":      "UPDATE ON rolecall.deliveries FOR EACH ROW WHEN (OLD.svix_id = 'msg_1')",
		"invitations": "UPDATE ON rolecall.invitations FOR EACH ROW WHEN (NEW.email = '')",
		"user":        "UPDATE ON rolecall.users FOR EACH ROW WHEN (NEW.identifier IS NULL)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.Deliver(t, described(t, "msg_1", "user_1"))
			b.Deliver(t, invited(t, "msg_2", "organizationInvitation.created", "orginv_1", "kim-1@home.test", "pending"))
			b.Exec(t, "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$interrupted$$; END'")
			b.Exec(t, "CREATE TRIGGER fail BEFORE "+failing+" EXECUTE FUNCTION public.fail()")
			_, err := Erase(t.Context(), b.Pool, "user_1", ErasureOptions{Force: true})
			require.ErrorContains(t, err, "interrupted")
			b.Exec(t, "DROP FUNCTION public.fail CASCADE")
			_, err = Erase(t.Context(), b.Pool, "user_1", ErasureOptions{Force: true})
			require.NoError(t, err)
			require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE body IS NOT NULL"))
			require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.invitations WHERE email <> ''"))
			require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.users WHERE identifier IS NOT NULL"))
			require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.audit_log WHERE strpos(coalesce(after::text, ''), 'kim-1@') > 0"))
		})
	}
}

// TestErase_LateInvitation: a late webhook about an invitation names no user, but the address.
func TestErase_LateInvitation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Deliver(t, described(t, "msg_1", "user_1"))
	b.Deliver(t, invited(t, "msg_2", "organizationInvitation.created", "orginv_1", "kim-1@home.test", "pending"))
	_, err := Erase(t.Context(), b.Pool, "user_1", ErasureOptions{Force: true})
	require.NoError(t, err)
	b.Deliver(t, invited(t, "msg_3", "organizationInvitation.revoked", "orginv_1", "kim-1@home.test", "revoked"))
	b.Deliver(t, invited(t, "msg_4", "organizationInvitation.created", "orginv_2", "kim-2@home.test", "pending"))
	require.NoError(t, CutAndErase(t.Context(), b.Pool, 0))
	require.Equal(t, []string{"msg_4"}, b.ids(t, "SELECT svix_id FROM rolecall.deliveries WHERE body IS NOT NULL"))
}

// TestErase_LateBodiesOfALongLedger are found page by page, and a check that is interrupted goes on
// where it had come to. Of a person who is erased meanwhile, nothing is noted.
func TestErase_LateBodiesOfALongLedger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Exec(t, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state)
		SELECT 'msg_' || n, 'user.updated', 'user_9', '', '', now(), now() - interval '2 days' + n % 700 * interval '1 second',
			CASE WHEN n IN (700, 1200) THEN '{"id":"user_1"}' ELSE '{"id":"user_9"}' END, '', 'applied' FROM generate_series(1, 1300) n`)
	b.Exec(t, "INSERT INTO rolecall.erasures (user_id) VALUES ('user_1')")
	check, err := store.BeginLateCheck(t.Context(), b.Pool)
	require.NoError(t, err)
	b.Exec(t, "INSERT INTO rolecall.erasures (user_id) VALUES ('user_2')")
	require.NoError(t, store.NoteLateCheck(t.Context(), b.Pool, check, check.Began))
	require.Equal(t, []string{"user_2"}, b.ids(t, "SELECT user_id FROM rolecall.erasures WHERE checked_at = 'epoch'"))
	require.NoError(t, eraseAgain(t.Context(), b.Pool))
	require.Equal(t, 1298, b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE body IS NOT NULL"))
}

// TestErase_KeepsAnAnswerThatComesMeanwhile: a command that ends during the erasure keeps its
// answer.
func TestErase_KeepsAnAnswerThatComesMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Deliver(t, described(t, "msg_1", "user_1"))
	b.Exec(t, `INSERT INTO rolecall.commands (id, actor, action, organization_id, target, outcome, state, begun_at, tried_at)
		VALUES ('cmd_1', 'user_9', 'invitation.sent', 'org_1', '', 'kim-1@work.test org:member', 'begun', now(), now())`)
	ending, err := b.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = ending.Exec(t.Context(), `UPDATE rolecall.commands SET state = 'done', answer = '{"to":"kim-1@work.test","role":"org:member"}'`)
	require.NoError(t, err)
	erased := make(chan error, 1)
	go func() {
		_, err := Erase(t.Context(), b.Pool, "user_1", ErasureOptions{Force: true})
		erased <- err
	}()
	b.UntilBlocked(t, 1)
	require.NoError(t, ending.Commit(t.Context()))
	require.NoError(t, <-erased)
	require.Equal(t, []string{`[erased] {"to":"[erased]","role":"org:member"}`}, b.ids(t, "SELECT outcome || ' ' || answer::text FROM rolecall.commands"))
}

// TestErase_BringsNobodyBack: two people who are erased at once stand in one entry. The second
// erasure had read the entry before the first one wrote it.
func TestErase_BringsNobodyBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	appendEntry(t, b.Pool, "org_1", "mail.sent", "mail_1", "", `{"from":"ada@mail.test","to":"bob@mail.test"}`, time.Now())
	without := func(text string) []clerksync.LoggedEntry {
		t.Helper()
		traces := clerksync.Traces{Sure: []string{text}}
		page, err := store.EntriesNaming(t.Context(), b.Pool, traces, 0, erasePage)
		require.NoError(t, err)
		require.Len(t, page, 1)
		left, changed := traces.Erase(page[0])
		require.True(t, changed)
		return []clerksync.LoggedEntry{left}
	}
	ada, bob := without("ada@mail.test"), without("bob@mail.test")
	require.NoError(t, eraseFrom(t.Context(), b.Pool, "user_ada", ada))
	require.ErrorIs(t, eraseFrom(t.Context(), b.Pool, "user_bob", bob), store.ErrRaced)
	require.NoError(t, eraseFrom(t.Context(), b.Pool, "user_bob", without("bob@mail.test")))
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.audit_log WHERE data::text LIKE '%mail.test%'"))
	require.Nil(t, verifyChain(t, b.Pool, "org_1", clerksync.Mark{}).Broken)
}

// TestErase_WorkspacesCalledAfterThePerson: their entries and, once they are deleted, their rows
// don't name the person any more. The chain verifies, also after a cut. Nothing late brings the
// name back.
func TestErase_WorkspacesCalledAfterThePerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	workspace := func(svixID, eventType, id, name, slug string, at int64) clerksync.Delivery {
		return mirrortest.Event(t, svixID, eventType, at, map[string]any{
			"id": id, "name": name, "slug": slug, "created_at": mirrortest.T0, "updated_at": mirrortest.T0 + at,
		})
	}
	gone := func(svixID, id, slug string) clerksync.Delivery {
		return mirrortest.Event(t, svixID, "organization.deleted", 9, map[string]any{"object": "organization", "id": id, "slug": slug, "deleted": true})
	}
	b.Deliver(t, mirrortest.Joined(t, "msg_0", "orgmem_1", "org_9", "user_1"))
	b.Exec(t, "UPDATE rolecall.users SET first_name = 'Ada', last_name = 'Lovelace' WHERE id = 'user_1'")
	b.Deliver(t, workspace("msg_2", "organization.created", "org_1", "Ada Lovelace's Workspace", "ada-lovelaces-workspace", 1))
	b.Deliver(t, workspace("msg_3", "organization.created", "org_2", "Firm", "ada-lovelace-7", 1))
	b.Deliver(t, workspace("msg_4", "organization.created", "org_3", "ADA LOVELACE", "x", 1))
	b.Deliver(t, workspace("msg_5", "organization.created", "org_4", "Nada Lovelace", "ada-lovelaceson", 1)) // somebody else's
	for i, id := range []string{"org_1", "org_2", "org_4"} {
		b.Deliver(t, gone("msg_6"+id, id, []string{"ada-lovelaces-workspace", "ada-lovelace-7", "ada-lovelaceson"}[i]))
	}
	b.Exec(t, "UPDATE rolecall.organizations SET deleted_cause = 'sweep_1' WHERE id = 'org_2'") // a read had missed it
	done, err := Erase(t.Context(), b.Pool, "user_1", ErasureOptions{Force: true})
	require.NoError(t, err)
	require.Equal(t, 2, done.Workspaces)
	require.Equal(t, []string{"org_3"}, done.ToCheck)
	names := func() []string {
		t.Helper()
		return b.ids(t, "SELECT name || ' ' || coalesce(slug, '-') FROM rolecall.organizations WHERE id <> 'org_9' ORDER BY id")
	}
	left := []string{"[erased] -", "[erased] -", "ADA LOVELACE x", "Nada Lovelace ada-lovelaceson"}
	require.Equal(t, left, names())
	entries := func(id string) []string {
		t.Helper()
		return b.ids(t, "SELECT concat(action, ' ', before->>'name', before->>'slug', ' ', after->>'name', after->>'slug') FROM rolecall.audit_log WHERE organization_id = '"+id+"' ORDER BY seq")
	}
	require.Equal(t, []string{"workspace.created  [erased][erased]", "workspace.deleted [erased][erased] "}, entries("org_1"))
	require.Equal(t, []string{"workspace.created  [erased][erased]"}, entries("org_3"))
	require.Equal(t, "workspace.created  Nada Lovelaceada-lovelaceson", entries("org_4")[0])

	b.Deliver(t, workspace("msg_7", "organization.updated", "org_1", "Ada Lovelace Ltd", "ada-lovelace-ltd", 5))
	b.Deliver(t, gone("msg_8", "org_1", "ada-lovelaces-workspace"))
	require.Equal(t, left, names())
	require.NoError(t, CutAndErase(t.Context(), b.Pool, 0))
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE svix_id IN ('msg_7', 'msg_8') AND body IS NOT NULL"))
	for _, org := range []string{"", "org_1", "org_2", "org_3", "org_4"} {
		require.Nil(t, verifyChain(t, b.Pool, org, clerksync.Mark{}).Broken, org)
	}

	b.Deliver(t, workspace("msg_9", "organization.updated", "org_3", "Firm", "firm", 12))
	require.Equal(t, "workspace.renamed ADA LOVELACEx Firmfirm", entries("org_3")[1])
	done, err = Erase(t.Context(), b.Pool, "user_1", ErasureOptions{Force: true, Also: []string{"Ada  Lovelace"}})
	require.NoError(t, err)
	require.Empty(t, done.ToCheck)
	require.Equal(t, "workspace.renamed [erased][erased] Firmfirm", entries("org_3")[1])
	require.NoError(t, CutLog(t.Context(), b.Pool, time.Now().AddDate(0, 0, 1), 0))
	for _, org := range []string{"", "org_1", "org_2", "org_3", "org_4"} {
		require.Nil(t, verifyChain(t, b.Pool, org, clerksync.Mark{}).Broken, org)
	}
}

// TestErase_SomebodyOnlyInvited is erased by an invitation's id, and so are the other invitations
// to the address. One that is pending at Clerk, or a user's, is refused.
func TestErase_SomebodyOnlyInvited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Deliver(t, invited(t, "msg_1", "organizationInvitation.created", "orginv_1", "Guest@mail.test", "pending"))
	b.Deliver(t, invited(t, "msg_2", "organizationInvitation.created", "orginv_2", "guest@mail.test", "pending"))
	b.Deliver(t, invited(t, "msg_3", "organizationInvitation.created", "orginv_3", "other-guest@mail.test", "pending"))
	_, err := Erase(t.Context(), b.Pool, "orginv_9", ErasureOptions{})
	require.ErrorIs(t, err, store.ErrNotFound)
	b.Exec(t, "UPDATE rolecall.invitations SET status = 'revoked' WHERE id = 'orginv_1'")
	_, err = Erase(t.Context(), b.Pool, "orginv_1", ErasureOptions{})
	require.ErrorIs(t, err, ErrPending, "the other one to the address")
	b.Exec(t, "UPDATE rolecall.invitations SET status = 'revoked' WHERE id = 'orginv_2'")
	b.Exec(t, "INSERT INTO rolecall.users (id, identifier) VALUES ('user_1', 'GUEST@mail.test')")
	_, err = Erase(t.Context(), b.Pool, "orginv_1", ErasureOptions{Force: true})
	require.ErrorContains(t, err, "erase user_1")
	b.Exec(t, "DELETE FROM rolecall.users")

	done, err := Erase(t.Context(), b.Pool, "orginv_1", ErasureOptions{})
	require.NoError(t, err)
	require.Equal(t, Erasure{Invitation: "orginv_1", Invitations: 2, Bodies: 2, Entries: 2, ToCheck: []string{}}, done)
	named := func() []string {
		t.Helper()
		return b.ids(t, `SELECT id FROM rolecall.invitations WHERE email <> '' UNION ALL SELECT svix_id FROM rolecall.deliveries WHERE body IS NOT NULL
			UNION ALL SELECT target FROM rolecall.audit_log WHERE after->>'email' LIKE '%@%' ORDER BY 1`)
	}
	require.Equal(t, []string{"msg_3", "orginv_3", "orginv_3"}, named())
	require.Equal(t, []string{"orginv_1"}, b.ids(t, "SELECT target FROM rolecall.audit_log WHERE action = 'operator.erased'"))
	b.Deliver(t, invited(t, "msg_4", "organizationInvitation.revoked", "orginv_1", "Guest@mail.test", "revoked"))
	require.NoError(t, CutAndErase(t.Context(), b.Pool, 0))
	require.Equal(t, []string{"msg_3", "orginv_3", "orginv_3"}, named())
	require.Nil(t, verifyChain(t, b.Pool, "org_1", clerksync.Mark{}).Broken)
	_, err = Erase(t.Context(), b.Pool, "orginv_1", ErasureOptions{Also: []string{"guest@mail.test"}})
	require.NoError(t, err, "another run finds it without an address")
}

// TestErase_TakesNobodyElsesFailures and ids of requests: a short name is a part of many of them.
func TestErase_TakesNobodyElsesFailures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Deliver(t, mirrortest.Joined(t, "msg_1", "orgmem_1", "org_1", "user_1"))
	b.Exec(t, "UPDATE rolecall.users SET first_name = 'A', last_name = 'B' WHERE id = 'user_1'")
	said := []string{"5f0c1d2a-b71e-4c6d-9a1b-2c3d4e5f6a7b", "data-base", "Extra bytes", "by A B, twice", "line\nA B"}
	for n, text := range said {
		b.Exec(t, "INSERT INTO rolecall.river_job (args, kind, queue, max_attempts, state, errors) VALUES ('{}', $1, 'other', 3, 'available', ARRAY[jsonb_build_object('error', $2::text)])",
			fmt.Sprint("job_", n), text)
		command := clerksync.Command{Actor: "user_2", Action: clerksync.ActionMemberRemoved, OrganizationID: "org_1", Target: "user_3", RequestID: text}
		_, _, err := store.BeginCommand(t.Context(), b.Pool, fmt.Sprint("cmd_", n), command, store.CommandKey{})
		require.NoError(t, err)
	}
	_, err := Erase(t.Context(), b.Pool, "user_1", ErasureOptions{Force: true})
	require.NoError(t, err)
	require.Equal(t, []string{"job_0", "job_1", "job_2"}, b.ids(t, "SELECT kind FROM rolecall.river_job WHERE errors IS NOT NULL AND queue = 'other' ORDER BY kind"))
	require.Equal(t, said[:3], b.ids(t, "SELECT request_id FROM rolecall.commands WHERE request_id IS NOT NULL ORDER BY id"))
}

package console_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// strange is a name that a stranger chose: markup, an escape sequence, and marks that turn the text
// round.
const strange = "<script>alert(1)</script> \u202eevil\u202c \x1b[31m\"&' Ünïcode"

// busy is a service with a mirror, deliveries in every state, measurements, and sweeps by order.
type busy struct {
	*desk

	workspace string
	admin     clerksim.User
	members   []clerksim.User
}

func newBusy(t *testing.T, members int) *busy {
	t.Helper()
	b := &busy{desk: newDesk(t, func(b *servicetest.Bundle, cfg *config.Config) {
		cfg.SecretKey, cfg.APIURL, cfg.ClerkRate = b.Clerk.SecretKey(), b.API, 1000
	})}
	var err error
	b.admin, err = b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	organization, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: b.admin.ID, Name: strange})
	require.NoError(t, err)
	b.workspace = organization.ID
	for range members {
		u, err := b.Clerk.CreateUser(clerksim.NewUser{})
		require.NoError(t, err)
		_, err = b.Clerk.AddMember(b.workspace, u.ID, clerksim.RoleMember)
		require.NoError(t, err)
		b.members = append(b.members, u)
	}
	b.Send(t, b.Clerk.Drain()...)
	b.exec(t, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state, last_error)
		SELECT 'msg_foreign' || i, 'organizationMembership.updated', 'orgmem_1', $1, 'ins_other', now(), now() - i * interval '1 minute',
			'{"type":"organizationMembership.updated","instance_id":"ins_other","data":{"id":"orgmem_1"}}', '\x00', 'quarantined', 'delivery of another Clerk instance: ins_other'
		FROM generate_series(1, 3) i`, b.workspace)
	b.exec(t, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state, last_error)
		VALUES ('msg_garbled', $1, $1, '', $1, now(), now() - interval '5 seconds', NULL, '\x00', 'quarantined', $2)`,
		strange, `undecodable delivery: member "type" is `+strange)
	b.exec(t, `INSERT INTO rolecall.measurements (minute, process_id, accepted, questions, refused, applied, longest_us, waits)
		SELECT date_trunc('minute', now()) - i * interval '1 minute', 'elsewhere', 30 + (i * 37) % 50, 60000 + (i * 7919) % 20000, 900 + (i * 31) % 200, 30,
			8000 + (i * 1237) % 90000, ARRAY[20,6,2,1,1,0,0,0,0,0,0,0] FROM generate_series(1, 55) i WHERE i NOT BETWEEN 20 AND 24`)
	b.signIn(t)
	return b
}

func (d *desk) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := d.DB.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// ordered waits until as many sweeps of operators have ended.
func (b *busy) ordered(t *testing.T, n int) {
	t.Helper()
	servicetest.Eventually(t, func() bool {
		var ended int
		err := b.DB.QueryRow(t.Context(), `SELECT count(*) FROM rolecall.river_job WHERE kind = 'ordered_sweep' AND state = 'completed'`).Scan(&ended)
		return err == nil && ended == n
	}, "the order is carried out")
}

// newest returns the svix-id of the newest delivery of a type.
func (b *busy) newest(t *testing.T, eventType string) (id string) {
	t.Helper()
	require.NoError(t, b.DB.QueryRow(t.Context(), `SELECT svix_id FROM rolecall.deliveries WHERE event_type = $1 AND state = 'applied'
		ORDER BY received_at DESC LIMIT 1`, eventType).Scan(&id))
	return id
}

// TestReplay_OfOneAndOfTheQuarantined: each is in the audit log, with who did it.
func TestReplay_OfOneAndOfTheQuarantined(t *testing.T) {
	t.Parallel()
	b := newBusy(t, 1)
	id := b.newest(t, "organization.created")
	a := b.post(t, "/deliveries/"+id+"/replay", url.Values{})
	require.Equal(t, http.StatusSeeOther, a.StatusCode, a.text)
	require.Equal(t, "/deliveries/"+id, a.Header.Get("Location"))
	b.Applied(t)
	require.Equal(t, "superseded", b.State(t, id))
	require.Contains(t, b.get(t, "/deliveries/"+id).text, "The delivery is replayed")

	b.exec(t, `UPDATE rolecall.deliveries SET state = 'quarantined', last_error = 'an older version' WHERE event_type = 'user.created'`)
	a = b.post(t, "/deliveries/replay", url.Values{})
	require.Equal(t, "/deliveries?state=quarantined", a.Header.Get("Location"), a.text)
	b.Applied(t)
	text := b.get(t, "/deliveries?state=quarantined").text
	require.Contains(t, text, "2 deliveries are replayed: they are applied in a moment. 3 stay: delivery of another Clerk instance: ins_other. 1 stays: the ledger has no body")
	require.NotContains(t, text, "<script>alert")

	a = b.post(t, "/deliveries/msg_foreign1/replay", url.Values{})
	require.Equal(t, http.StatusBadRequest, a.StatusCode)
	require.Contains(t, a.text, "another Clerk instance")
	require.Equal(t, http.StatusNotFound, b.post(t, "/deliveries/msg_none/replay", url.Values{}).StatusCode)
	require.Equal(t, []string{
		"operator:ada operator.signed_in ada",
		"operator:ada operator.deliveries_replayed " + id,
		"operator:ada operator.deliveries_replayed quarantined",
		"operator:ada operator.deliveries_replayed msg_foreign1",
	}, b.logged(t))
}

// TestDelivery_SaysWhatSupersededIt: a newer delivery that came first, or the delivery itself.
func TestDelivery_SaysWhatSupersededIt(t *testing.T) {
	t.Parallel()
	b := newBusy(t, 1)
	for _, role := range []string{clerksim.RoleAdmin, clerksim.RoleMember} {
		_, err := b.Clerk.SetRole(b.workspace, b.members[0].ID, role)
		require.NoError(t, err)
	}
	sent := b.Clerk.Drain()
	require.Len(t, sent, 2)
	b.Send(t, sent[1])
	b.Applied(t)
	b.Send(t, sent[0])
	b.Applied(t)
	require.Equal(t, "superseded", b.State(t, sent[0].ID))
	require.Contains(t, b.get(t, "/deliveries/"+sent[0].ID).text,
		`newest state of this object from <a class="id" href="/deliveries/`+sent[1].ID+`">`)
	require.NotContains(t, b.get(t, "/deliveries/"+sent[1].ID).text, "newest state", "it was applied")
	require.Equal(t, http.StatusSeeOther, b.post(t, "/deliveries/"+sent[1].ID+"/replay", url.Values{}).StatusCode)
	b.Applied(t)
	require.Contains(t, b.get(t, "/deliveries/"+sent[1].ID).text, "it was applied before")
}

// TestReplay_OfWhatIsShown: a quarantined delivery stays for ever, and the list shows a time. The
// status leads to all of them, and what the list doesn't show isn't replayed. The audit log has the
// filters.
func TestReplay_OfWhatIsShown(t *testing.T) {
	t.Parallel()
	b := newBusy(t, 1)
	id := b.newest(t, "organization.created")
	b.exec(t, "DELETE FROM rolecall.deliveries WHERE state = 'quarantined'")
	b.exec(t, `UPDATE rolecall.deliveries SET state = 'quarantined', last_error = 'an older version', received_at = now() - interval '60 days'
		WHERE svix_id = $1`, id)
	links := regexp.MustCompile(`href="(/deliveries\?state=[^"]+)"`)
	for _, link := range links.FindAllStringSubmatch(b.shown(t, "/", "quarantined</a>"), -1) {
		require.Contains(t, b.get(t, html.UnescapeString(link[1])).text, id, link[1])
	}
	require.NotContains(t, b.get(t, "/deliveries?state=quarantined").text, id, "the last 30 days are shown")
	b.post(t, "/deliveries/replay", url.Values{"within": {""}})
	require.Contains(t, b.get(t, "/deliveries?state=quarantined").text, "nothing was replayed")
	require.Equal(t, "quarantined", b.State(t, id))

	a := b.post(t, "/deliveries/replay", url.Values{"within": {"all"}, "before": {"2999-01-02T15:04"}})
	require.Equal(t, "/deliveries?before=2999-01-02T15%3A04&state=quarantined&within=all", a.Header.Get("Location"), a.text)
	b.Applied(t)
	require.Equal(t, "superseded", b.State(t, id))
	a = b.post(t, "/deliveries/replay", url.Values{"within": {"1h"}, "before": {"2026-01-02T15:04"}})
	require.Equal(t, http.StatusSeeOther, a.StatusCode, a.text)
	text := b.get(t, "/audit?workspace=instance&action=operator.deliveries_replayed").text
	require.Contains(t, text, `<span class="soft">since</span> 2026-01-02T14:04:00Z`)
	require.Contains(t, text, `<span class="soft">until</span> 2026-01-02T15:04:00Z`)
	require.Contains(t, text, `<span class="soft">until</span> 2999-01-02T15:04:00Z`)
}

// shown returns a page once it has a text: the situation of some seconds ago is shown.
func (d *desk) shown(t *testing.T, path, has string) (text string) {
	t.Helper()
	servicetest.Eventually(t, func() bool {
		text = d.get(t, path).text
		return strings.Contains(text, has)
	}, has)
	return text
}

// TestSweeps_ConfirmByTheNumberAtStake: another number changes nothing, and the right one removes.
func TestSweeps_ConfirmByTheNumberAtStake(t *testing.T) {
	t.Parallel()
	b := newBusy(t, 30)
	require.Equal(t, http.StatusSeeOther, b.post(t, "/sweeps/run", url.Values{}).StatusCode)
	b.ordered(t, 1)
	for _, u := range b.members[:20] {
		require.NoError(t, b.Clerk.RemoveMember(b.workspace, u.ID))
	}
	b.Clerk.Drain() // the webhooks are lost
	require.Equal(t, http.StatusSeeOther, b.post(t, "/sweeps/run", url.Values{}).StatusCode)
	b.ordered(t, 2)
	text := b.get(t, "/sweeps/2").text
	require.Contains(t, text, "It was stopped before it removed 20 memberships")
	require.Contains(t, text, "confirm their removal below")
	require.NotContains(t, text, "reconcile --confirm", "it would remove any number")
	for _, typed := range []string{"", "19", "21", "twenty", "-20"} {
		a := b.post(t, "/sweeps/2/confirm", url.Values{"number": {typed}})
		require.Equal(t, http.StatusBadRequest, a.StatusCode, typed)
		require.Contains(t, a.text, "The number isn&#39;t 20", typed)
	}
	require.Equal(t, http.StatusBadRequest, b.post(t, "/sweeps/1/confirm", url.Values{"number": {"20"}}).StatusCode, "it was clean")
	require.Equal(t, http.StatusSeeOther, b.post(t, "/sweeps/2/confirm", url.Values{"number": {"20"}}).StatusCode)
	b.ordered(t, 3)
	require.Contains(t, b.get(t, "/sweeps/3").text, "20 removed")
	a := b.post(t, "/sweeps/2/confirm", url.Values{"number": {"20"}})
	require.Contains(t, a.text, "A later sweep has ended")
	require.Equal(t, []string{
		"operator:ada operator.signed_in ada", "operator:ada operator.sweep_ordered everything",
		"operator:ada operator.sweep_ordered everything", "operator:ada operator.sweep_ordered everything",
	}, b.logged(t))
}

// TestDeliveries_FiltersAndPages: each filter selects, and the pages together have every delivery
// once.
func TestDeliveries_FiltersAndPages(t *testing.T) {
	t.Parallel()
	b := newBusy(t, 40)
	rows := func(path string) int {
		a := b.get(t, path)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		return strings.Count(a.text, `data-label="Received"`)
	}
	var all int
	require.NoError(t, b.DB.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.deliveries").Scan(&all))
	seen, pages := 0, 0
	for at := "/deliveries"; at != ""; pages++ {
		a := b.get(t, at)
		seen += strings.Count(a.text, `data-label="Received"`)
		_, after, more := strings.Cut(a.text, `rel="next"`)
		at = ""
		if before, _, _ := strings.Cut(a.text, `rel="next"`); more && after != "" {
			href := before[strings.LastIndex(before, `href="`)+len(`href="`):]
			at = strings.ReplaceAll(strings.TrimSuffix(strings.TrimSpace(href), `"`), "&amp;", "&")
		}
	}
	require.Equal(t, all, seen)
	require.Greater(t, pages, 1)
	require.Equal(t, 4, rows("/deliveries?state=quarantined"))
	require.Equal(t, 1, rows("/deliveries?type=organization.created"))
	require.Equal(t, 2, rows("/deliveries?user="+b.members[0].ID), "the user, and the membership")
	require.Equal(t, 1, rows("/deliveries?type=organization.created&workspace="+b.workspace))
	require.Zero(t, rows("/deliveries?before=2020-01-01T00:00"))
	require.Zero(t, rows("/deliveries?state=quarantined&within=1h&before="+time.Now().Add(-24*time.Hour).UTC().Format("2006-01-02T15:04")))
	for _, path := range []string{"/deliveries?state=odd", "/deliveries?before=yesterday", "/deliveries?within=ever", "/deliveries?after=x", "/sweeps?after=x"} {
		require.Equal(t, http.StatusBadRequest, b.get(t, path).StatusCode, path)
	}
	for _, path := range []string{"/deliveries/msg_none", "/sweeps/77", "/sweeps/x", "/sweeps/-1"} {
		require.Equal(t, http.StatusNotFound, b.get(t, path).StatusCode, path)
	}
}

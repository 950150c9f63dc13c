package sync_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestTraces_FindThePersonAndNobodyElse: a text of the person that is a part of somebody else's
// text erases nothing of that other person.
func TestTraces_FindThePersonAndNobodyElse(t *testing.T) {
	t.Parallel()
	traces := clerksync.Traces{IDs: []string{"user_1"}}
	traces.AddName("Éva", "Li")
	for _, text := range []string{"ada@mail.test", "+15550100123", "josé@mail.test"} {
		traces.Add(text)
	}
	for body, person := range map[string]bool{
		`{"id":"user_1"}`:                           true,
		`{"id":"user_12"}`:                          false,
		`{"to":"Ada@Mail.Test"}`:                    true,
		`{"to":"<ada@mail.test>."}`:                 true,
		`{"to":"\u0061da\u0040mail.test"}`:          true,
		`{"to":"JOS\u00c9@mail.test"}`:              true,
		`{"to":"JOSÉ@mail.test"}`:                   true,
		`to "jos\u00e9@mail.test`:                   true, // no JSON
		`{"url":"/search?q=%3Cada%40mail.test%3E"}`: true,
		`{"url":"/search?q=%C3%89va+Li&x=1"}`:       true,
		`{"to":"canada@mail.test"}`:                 false,
		`{"to":"x.ada@mail.test"}`:                  false,
		`{"to":"x+ada@mail.test"}`:                  false,
		`{"to":"ada@mail.test.example"}`:            false,
		`{"to":"ada@mail.tests"}`:                   false,
		`{"tel":15550100123}`:                       true,
		`{"tel":"0015550100123"}`:                   true,
		`{"n":1155501001234}`:                       false,
		`{"by":"\u00c9VA LI"}`:                      true,
		`{"by":"Éva Linde"}`:                        false,
		`{"by":"\\u00c9va Li"}`:                     false,
		`{"by":"Li, Éva"}`:                          true,
	} {
		require.Equal(t, person, traces.InBody([]byte(body)), body)
	}
}

// TestTraces_ShareNothing: what many people's objects have stands for none of them, such as the
// picture of those who have none, or a manager's address in metadata.
func TestTraces_ShareNothing(t *testing.T) {
	t.Parallel()
	traces := clerksync.Traces{IDs: []string{"user_1"}}
	traces.AddBody([]byte(`{"data":{"id":"user_1","profile_image_url":"https://www.gravatar.com/avatar?d=mp","external_id":"20260001",
		"public_metadata":{"manager":"boss@firm.test","more":["hr@firm.test",{"tel":"+15550100999"}]},"email_addresses":[{"email_address":"ada@mail.test"}]}}`))
	require.Equal(t, []string{"ada@mail.test"}, traces.Sure)
	require.Subset(t, traces.Likely, []string{"https://www.gravatar.com/avatar?d=mp", "20260001", "boss@firm.test", "hr@firm.test", "+15550100999"})
}

// TestTraces_ErasePeopleOfAllScripts where the person is named.
func TestTraces_ErasePeopleOfAllScripts(t *testing.T) {
	t.Parallel()
	traces := clerksync.Traces{IDs: []string{"user_1"}}
	traces.AddName("太郎", "山田")
	left, changed := traces.Erase(clerksync.LoggedEntry{Action: "report.run", Target: "user_1", Data: json.RawMessage(`{"to":"山田さん","n":1}`)})
	require.True(t, changed)
	require.JSONEq(t, `{"to":"[erased]","n":1}`, string(left.Data))
	_, changed = traces.Erase(clerksync.LoggedEntry{Action: "report.run", Target: "user_10", Data: json.RawMessage(`{"to":"山田さん"}`)})
	require.False(t, changed, "another id")
}

// TestTraces_ToldNames find slugs if they have several words. One word, such as a first name, is
// many people's.
func TestTraces_ToldNames(t *testing.T) {
	t.Parallel()
	for told, finds := range map[string]bool{"Eva  Li": true, "eva-li": false, "Eva": false} {
		traces := clerksync.Traces{IDs: []string{"user_1"}}
		traces.AddTold(told)
		require.Equal(t, finds, traces.InWorkspace("Firm", "eva-li-7", nil), told)
		require.Equal(t, finds, traces.InWorkspace("Eva Li's firm", "firm", nil), told)
	}
}

// TestErased_WorkspaceThatIsBack: a late copy doesn't name a deleted workspace again that was
// called after an erased person. If a sweep had only missed it, it is called as Clerk says.
func TestErased_WorkspaceThatIsBack(t *testing.T) {
	t.Parallel()
	mirror := clerksync.NewMirror()
	shown := map[string]any{"id": "org_a", "name": "Éva Li", "slug": "eva-li", "created_at": t0, "updated_at": t0 + 1}
	observe(mirror, observed(t, clerksync.ResourceOrganization, 2, shown), 2)
	o := mirror.Organizations["org_a"]
	o.Name.Value, o.Slug.Value = clerksync.Erased, nil
	o.Tombstone = clerksync.Tombstone{OccurredAt: t0 + 3, DeliveryID: "sweep_2", ReceivedAt: t0 + 3}
	mirror.Organizations["org_a"] = o

	late := observed(t, clerksync.ResourceOrganization, 9, map[string]any{"id": "org_a", "name": "Éva Li Ltd", "slug": "eva", "created_at": t0, "updated_at": t0 + 7})
	observe(mirror, late, 9)
	require.True(t, mirror.Organizations["org_a"].Dead())
	require.Equal(t, clerksync.Erased, mirror.Organizations["org_a"].Name.Value)
	require.Nil(t, mirror.Organizations["org_a"].Slug.Value)

	back := observed(t, clerksync.ResourceOrganization, 10, shown)
	back.Organizations[0].LiftedAt = t0 + 10
	observe(mirror, back, 10)
	require.False(t, mirror.Organizations["org_a"].Dead())
	require.Equal(t, "Éva Li", mirror.Organizations["org_a"].Name.Value)
}

package playground

import (
	"crypto/rand"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// item is a thing of the product's: a report, a prompt, a schedule, a plan or an integration. It
// keeps its author's name when the author leaves.
type item map[string]string

// shelf is what the product keeps for one workspace, by kind, the newest item first.
type shelf map[string][]item

// shelves are the data of all workspaces. There is no way to one but by a pass, so that nothing is
// read of a workspace to which Rolecall didn't admit the request.
type shelves struct {
	sync.Mutex

	byID map[string]shelf
}

// change runs a function on the shelf of a workspace, and returns a copy of the shelf.
func (s *shelves) change(admitted pass, change func(shelf)) shelf {
	s.Lock()
	defer s.Unlock()
	if s.byID[admitted.workspaceID] == nil {
		fresh := shelf{"plan": {{"id": "plan", "name": "Starter"}}}
		for _, tool := range []string{"Slack", "HubSpot", "Gong"} {
			fresh.put("integration", tool, item{"id": tool, "name": tool, "state": "off"})
		}
		s.byID[admitted.workspaceID] = fresh
	}
	change(s.byID[admitted.workspaceID])
	return maps.Clone(s.byID[admitted.workspaceID])
}

// shelf returns the data of the workspace to which the visit was admitted.
func (v *visit) shelf() shelf { return v.p.shelves.change(v.pass, func(shelf) {}) }

// at is the index of the item with an id; -1 if there is none.
func (s shelf) at(kind, id string) int {
	return slices.IndexFunc(s[kind], func(kept item) bool { return kept["id"] == id })
}

// put adds an item, in place of the one with its id; with nil, that one goes. The oldest of many
// goes, too. Copies of the shelf stay as they are.
func (s shelf) put(kind, id string, made item) {
	list, i := slices.Clone(s[kind]), s.at(kind, id)
	switch {
	case i < 0:
		list = slices.Insert(list, 0, made)[:min(len(list)+1, 100)]
	case made == nil:
		list = slices.Delete(list, i, i+1)
	default:
		list[i] = made
	}
	s[kind] = list
}

// deed is what a form does to an item of a kind: one of the things that it may do, as its field
// "did" says.
type deed struct{ kind, may, fields, back string }

// do records in Rolecall's audit log what the person does, and then does it.
func (d deed) do(v *visit) error {
	did, id := v.text("did"), v.text("id")
	if did == "created" {
		id = newID(d.kind)
	} else if v.shelf().at(d.kind, id) < 0 {
		return refusal(http.StatusNotFound, "There is no such "+d.kind+" in this workspace")
	}
	if !slices.Contains(strings.Fields(d.may), did) {
		return refusal(http.StatusUnprocessableEntity, "That can't be done to a "+d.kind)
	}
	made := invent(id, v.p.name(v.session.userID), time.Now())
	for field := range strings.FieldsSeq(d.fields) {
		if made[field] = v.text(field); made[field] == "" {
			return refusal(http.StatusUnprocessableEntity, "A "+d.kind+" needs a "+field)
		}
	}
	words := did + " the " + d.kind + " " + made["name"]
	entry := map[string]any{"actor": v.session.userID, "action": d.kind + "." + did, "target": id, "data": map[string]string{"name": made["name"]}}
	if err := v.ask(words, v.p.cfg.ServiceToken, http.MethodPost, v.path("/audit"), entry, nil); err != nil {
		return err
	}
	if did == "deleted" {
		made = nil
	}
	v.p.shelves.change(v.pass, func(s shelf) { s.put(d.kind, id, made) })
	return v.to(strings.ReplaceAll(d.back, "{id}", id), "Done: you "+words+".")
}

func newID(kind string) string { return kind + "_" + strings.ToLower(rand.Text()[:12]) }

// invent makes an item, which has the figures of an invented call.
func invent(id, by string, at time.Time) item {
	n := int(at.UnixMicro() % 1009)
	return item{
		"id": id, "by": by, "at": at.Format(time.RFC3339), "score": strconv.Itoa(55 + n%43), "talk": strconv.Itoa(34 + n%29),
		"mood": []string{"warm", "guarded", "curious", "hurried"}[n%4],
	}
}

// stock gives each invented workspace some work of its first people.
func (p *Playground) stock() {
	for _, w := range p.cfg.Cast.Workspaces {
		p.shelves.change(pass{w.ID}, func(s shelf) {
			for n, person := range p.cfg.Cast.People {
				if person.Roles[w.ID] != "" && !person.Banned {
					made := invent(newID("report"), person.Name, time.Now().Add(time.Duration(n-9)*26*time.Hour))
					made["name"] = []string{"Discovery call", "Renewal talk", "Pricing, second call", "Kick-off"}[n%4]
					made["prompt"] = library()[n%4]["name"]
					s.put("report", made["id"], made)
				}
			}
		})
	}
}

// library is what Callmine's own people wrote.
func library() []item {
	return []item{
		{"name": "Objections", "text": "List each objection of the buyer, who answered it, and whether the answer held."},
		{"name": "Next steps", "text": "What was promised, by whom, and until when? Name each promise without a date."},
		{"name": "Coaching", "text": "Where did the seller talk over the buyer? Suggest a question for each place."},
		{"name": "Competitors", "text": "Which competitors were named, and what did the buyer like about them?"},
	}
}

package clerksim

import (
	"cmp"
	"net/http"
	"strings"
)

// Payer is the payer of a plan of Clerk Billing. The values are Clerk's.
type Payer string

// The payers.
const (
	PayerUser         Payer = "user"
	PayerOrganization Payer = "org"
)

// plan is a plan of Clerk Billing. The simulator has no prices and no subscriptions.
type plan struct {
	entry

	name  string
	payer Payer
}

type planBody struct {
	Object   string   `json:"object"`
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Slug     string   `json:"slug"`
	Payer    Payer    `json:"for_payer_type"`
	Features []string `json:"features"`
}

// AddPlan adds a plan to Clerk Billing and returns its id. The Backend API lists it while
// [FeatureBilling] is on.
func (w *World) AddPlan(name string, payer Payer) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &plan{entry: w.newEntry("cplan_", w.now()), name: name, payer: payer}
	w.plans = append(w.plans, p)
	return p.id
}

func (a *api) listPlans(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	payer := Payer(req.URL.Query().Get("payer_type"))
	rows := matching(a.world.plans, func(p *plan) bool { return cmp.Or(payer, p.payer) == p.payer })
	return list(a, req, rows, orders[*plan]{}, func(p *plan) any {
		return planBody{
			Object: "commerce_plan", ID: p.id, Name: p.name, Slug: strings.ToLower(p.name), Payer: p.payer, Features: []string{},
		}
	})
}

package playground_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
	"github.com/callmine/rolecall/internal/simulator"
)

// sight is a page as somebody sees it. Page is the template's name.
type sight struct {
	page, path string
	status     int
}

// ofEverybody are the pages that a member of any role sees.
func ofEverybody() []sight {
	var all []sight
	for _, name := range []string{"dashboard", "new", "prompts", "library", "settings", "onboarding"} {
		all = append(all, sight{name, "/" + name, http.StatusOK})
	}
	return append(all, sight{"problem", "/reports/report_none", http.StatusNotFound})
}

// ofAdmins are all pages, those for admins with the status that somebody gets there.
func ofAdmins(audit, members int) []sight {
	all := append(ofEverybody(), sight{"audit", "/audit", audit}, sight{"members", "/settings/members", members})
	for i := range all {
		if all[i].status == http.StatusForbidden {
			all[i].page = "problem"
		}
	}
	return all
}

// TestPages: each page can be read in each state, and each way of looking sees each page: wide,
// narrow and dark, and narrow without JavaScript.
func TestPages(t *testing.T) {
	t.Parallel()
	s := &shop{startDemo(t), browsertest.New(t)}
	empty := s.arrive(t, "Emma Empty")
	empty.found("Empty")
	crowded := s.arrive(t, "<b>Long</b> "+strings.Repeat("Name", 22))
	crowd(crowded)
	cast := func(key string) string {
		person, _ := s.Cast.Person(key)
		return person.UserID
	}
	const ok, no = http.StatusOK, http.StatusForbidden
	const wide, dark, plain = "wide", "dark", "plain"
	table := []struct {
		state, userID, views string
		sees                 []sight
	}{
		{"nobody", "", wide + dark + plain, []sight{{"sign-in", "/sign-in", ok}, {"sign-up", "/sign-up", ok}, {"problem", "/nowhere", http.StatusNotFound}}},
		{"several", cast("admin"), wide + plain, ofAdmins(ok, ok)},
		{"member", cast("member"), dark, ofAdmins(no, no)},
		{"custom", cast("analyst"), plain, ofAdmins(ok, no)},
		{"empty", empty.id, wide, ofAdmins(ok, ok)},
		{"crowded", crowded.id, wide + dark, ofAdmins(ok, ok)},
		{"banned", cast("banned"), dark, []sight{{"problem", "/dashboard", no}}},
		{"homeless", cast("stranger"), wide + dark + plain, []sight{{"create-workspace", "/dashboard", ok}}},
	}
	// the rows of these are in TestTwoWindows_AreThereAfterOneClick
	seen := map[string]bool{"layout": true, "landing": true, "two": true, "panel": true, "mail": true, "terminal": true}
	for name, view := range map[string]browsertest.View{wide: {Width: 1440}, dark: {Width: 360, Dark: true}, plain: {Width: 360, NoScript: true}} {
		page := s.browser.Open(t, s.Playground+"/sign-in", view)
		check := func(state string, of sight) {
			require.Equal(t, of.status, page.Status(), "%s %s", state, of.path)
			page.Check(state + "-" + strings.ReplaceAll(strings.Trim(of.path, "/"), "/", "-"))
			seen[of.page] = true
		}
		for _, row := range table {
			if !strings.Contains(row.views, name) {
				continue
			}
			if row.userID != "" {
				signInAs(page, row.userID)
			}
			for _, of := range row.sees {
				page.Go(of.path)
				check(row.state, of)
			}
			switch row.state {
			case "several", "crowded":
				page.Go("/dashboard")
				page.Press(".switcher summary")
				check(row.state, sight{"dashboard", "/switcher", ok})
				page.Go("/dashboard")
				page.Click("main table a")
				check(row.state, sight{"report", "/report", ok})
			case "banned":
				require.Contains(t, page.Text("#answer"), "user_banned")
				require.Contains(t, page.Text("main"), "has banned this account")
			}
		}
		gone := s.joined(t, empty, "Gone "+name, "member")
		signInAs(page, gone.id)
		empty.remove(gone)
		page.Go("/dashboard")
		check("removed", sight{"not-a-member", "/dashboard", http.StatusNotFound})

		page.Go("/sign-in")
		require.NoError(t, s.Simulator.Switch(simulator.Switches{ClerkDown: true}))
		page.Click("button[value=" + cast("admin") + "]")
		check("clerk-down", sight{"problem", "/sign-in", http.StatusServiceUnavailable})
		require.NoError(t, s.Simulator.Switch(simulator.Switches{}))
	}
	templates, err := os.ReadDir("templates")
	require.NoError(t, err)
	for _, file := range templates {
		require.True(t, seen[strings.TrimSuffix(file.Name(), ".html")], "no row of the table shows "+file.Name())
	}
}

func signInAs(page *browsertest.Page, userID string) {
	page.Go("/sign-in")
	page.Click("button[value=" + userID + "]")
}

// crowd fills a new workspace with names that are long, without blanks, or markup.
func crowd(v *visitor) {
	long := "<i>" + strings.Repeat("Unbreakable", 8) + "</i>"
	v.Go("/create-workspace")
	v.fill("input[name=name]", long)
	v.Click("main button")
	v.Go("/new")
	v.fill("main form input[name=name]", long)
	v.Click("main form button")
	v.Go("/prompts")
	v.fill("main form input[name=name]", long)
	v.fill("textarea", strings.Repeat("x", 300))
	v.Click("main form button")
	v.Go("/settings")
	v.fill("#schedules input[name=name]", long)
	v.Click("#schedules button")
	v.invite(strings.Repeat("a", 60)+"@"+strings.Repeat("example.", 6)+"test", "admin")
}

// TestSignIn_ListsTheOneToStartWithFirst, the invented people in their order, and new ones last.
func TestSignIn_ListsTheOneToStartWithFirst(t *testing.T) {
	t.Parallel()
	s := &shop{startDemo(t), browsertest.New(t)}
	s.arrive(t, "Zoe New")
	page := s.browser.Open(t, s.Playground+"/sign-in", browsertest.View{})
	var want []string
	for _, person := range s.Cast.People {
		want = append(want, person.Name)
	}
	require.Equal(t, strings.Join(append(want, "Zoe New"), "\n"),
		page.Value("[...document.querySelectorAll('.people b')].map(e => e.innerText).join('\\n')"))
	require.Contains(t, page.Text(".people button:first-child"), "start here")
}

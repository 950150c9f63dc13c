package playground_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
)

// openTwo opens both windows by the landing page's button.
func openTwo(page *browsertest.Page) {
	page.Click("form[action='/two'] button")
	page.Await("Array.from(frames).every(f => f.document.readyState === 'complete' && f.document.querySelector('h1'))")
}

// TestTwoWindows_AreThereAfterOneClick, and the pages around them are for everybody, however they
// look at them.
func TestTwoWindows_AreThereAfterOneClick(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	browser := browsertest.New(t)
	for _, view := range []browsertest.View{{}, {Width: 360}, {Dark: true}, {Width: 360, Dark: true}, {NoScript: true}} {
		page := browser.Open(t, d.Playground+"/", view)
		page.Check("landing")
		openTwo(page)
		page.Check("two")
		require.Contains(t, page.Text("ol"), "Ben Okafor, on the right, is a member")
		for _, path := range []string{"/panel", "/mail", "/terminal"} {
			page.Go(path)
			page.Check(path[1:])
		}
		require.Contains(t, page.Text("pre"), "/v1/authorize?workspace_id=")
	}
}

// TestTwoWindows_ShowTheFirstRefusal in the panel, before anything was changed.
func TestTwoWindows_ShowTheFirstRefusal(t *testing.T) {
	t.Parallel()
	page := browsertest.New(t).Open(t, startDemo(t).Playground+"/", browsertest.View{Failing: true})
	openTwo(page)
	page.Set("frames[1].location = '/right/audit'")
	page.Await(`["Ada Berg and Ben Okafor signed in", "Ben Okafor asks for audit:read", "403 permission_missing"].every(t => frames[2].document.querySelector("#rows").innerText.includes(t))`)
}

// TestTwoWindows_ShowARemovalAtTheNextClick beside the panel that says how it came. The README's
// picture is a screenshot of it: copy two-removed-1440.png to docs/playground.png.
func TestTwoWindows_ShowARemovalAtTheNextClick(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ben, _ := d.Cast.Person("member")
	page := browsertest.New(t).Open(t, d.Playground+"/", browsertest.View{Failing: true})
	openTwo(page)
	page.Set("frames[0].location = '/left/settings/members'")
	remove := fmt.Sprintf(`frames[0].document.querySelector("form[action$='/remove']:has(input[value='%s']) button")`, ben.UserID)
	page.Await(remove)
	page.Set(remove + ".click()")
	page.Await("frames[0].document.readyState === 'complete' && frames[0].document.querySelector('#members') && !" + remove)
	page.Set("frames[1].document.querySelector('nav a').click()")
	page.Await("frames[1].document.title.startsWith('You\\'re no longer a member of Northwind Sales')")
	page.Await(`["Ada Berg removed", "204", "Changed", "Ada Berg removed Ben Okafor from Northwind Sales", "organizationMembership.deleted", "Ben Okafor asks for", "404"].every(t => frames[2].document.querySelector("#rows").innerText.includes(t))`)
	page.Check("two-removed")
}

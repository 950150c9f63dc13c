package console_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
)

// views are the ways in which each page is looked at.
func views() []browsertest.View {
	return []browsertest.View{{Width: 1440}, {Width: 360, Dark: true}, {Width: 360, NoScript: true}}
}

// TestSignIn_InABrowser: a person signs in, comes back to the page that they asked for, and signs
// out. With or without JavaScript.
func TestSignIn_InABrowser(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	browser := browsertest.New(t)
	for _, view := range views() {
		page := browser.Open(t, d.Admin("/?from=chat"), view)
		require.Equal(t, "/sign-in?next=%2F%3Ffrom%3Dchat", page.URL())
		page.Check("sign-in")
		page.Type("input[name=token]", "rco_wrong")
		page.Click("main button")
		require.Equal(t, http.StatusUnauthorized, page.Status())
		page.Check("sign-in-refused")
		page.Type("input[name=token]", d.token)
		page.Click("main button")
		require.Equal(t, "/?from=chat", page.URL())
		page.Check("signed-in")
		page.Click("header button")
		require.Equal(t, "/sign-in", page.URL())
		page.Go("/")
		require.Equal(t, "/sign-in", page.URL())
	}
}

// TestGuard_ClosedInABrowser: the page that says how to configure a token is readable, too.
func TestGuard_ClosedInABrowser(t *testing.T) {
	t.Parallel()
	d := newDesk(t, withoutOperators("0.0.0.0:0"))
	page := browsertest.New(t).Open(t, d.Admin("/"), browsertest.View{Width: 360})
	page.Check("closed")
}

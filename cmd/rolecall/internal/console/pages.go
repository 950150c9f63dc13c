package console

import (
	"net/http"
	"slices"
	"strings"
)

// pages lists all pages.
func (c *Console) pages() []page {
	return slices.Concat(
		c.statusPages(),
		c.deliveryPages(),
		c.sweepPages(),
		c.helpPages(),
		c.auditPages(),
		c.directoryPages(),
		c.attentionPages(),
	)
}

// actions lists all changes that an operator can make by a form.
func (c *Console) actions() []action {
	return slices.Concat(
		[]action{{path: "/sign-out", do: c.signOut}},
		c.deliveryActions(),
		c.sweepActions(),
	)
}

// downloads lists all files.
func (c *Console) downloads() []download {
	return slices.Concat(
		c.auditDownloads(),
	)
}

// section is an entry of the navigation.
type section struct{ Name, Path string }

// allSections are the sections in the order of the navigation.
func allSections() []section {
	return []section{
		{"Status", "/"},
		{"Deliveries", "/deliveries"},
		{"Workspaces", "/workspaces"},
		{"Users", "/users"},
		{"Audit", "/audit"},
		{"Sweeps", "/sweeps"},
		{"Jobs", "/jobs/"},
	}
}

// reachable returns the sections that have a page.
func (c *Console) reachable() []section {
	return slices.DeleteFunc(allSections(), func(s section) bool {
		_, pattern := c.mux.Handler(&http.Request{Method: http.MethodGet, URL: mustPath(s.Path)})
		return pattern == "/" || pattern == ""
	})
}

// sectionOf returns the path of the section to which a path belongs; "" for none.
func sectionOf(path string) string {
	for _, s := range slices.Backward(allSections()) {
		if path == s.Path || s.Path != "/" && strings.HasPrefix(path, strings.TrimSuffix(s.Path, "/")+"/") {
			return s.Path
		}
	}
	return ""
}

// Package console is the web console for operators, on the admin listener. Its pages are rendered
// here, and work without JavaScript.
//
// It guarantees that only signed-in operators change anything, and that each change is audited. No
// page waits for a lock, or reads for longer than a few seconds. At most two pages read the
// database at a time. Pages load nothing from elsewhere. Invisible characters of foreign text are
// shown.
//
// # Add a page
//
// Write a template templates/NAME.html that defines "main", a function that loads its data, and a
// line in the list of its file:
//
//	func (c *Console) deliveryPages() []page {
//		return []page{{path: "/deliveries", title: "Deliveries", template: "deliveries", load: c.deliveries}}
//	}
//
// and call that function in [Console.pages]. A page belongs to the section whose path begins its
// own.
// The loader reads through v.db, a read-only transaction with a time limit, and returns the data of
// the template; it may set v.title. Errors: errNotFound, bad(…), and any error of store; [faultOf]
// makes the page of each.
//
// Templates: every printed string has its invisible characters shown. [functions] lists what they
// can call, such as when (how long ago), lasting (a duration), and path (a link with foreign ids).
//
// A table has the class "rows", and each cell a data-label, which is its heading on a phone. Its
// pages are keyset pages: v.cursor reads the position, v.following makes the link to the next page,
// and {{template "pager" .Pager}} shows it. Filters are a form with method get and class "filters";
// the loader reads them with v.filter.
//
// An element with an id and the attribute data-live is replaced when something changed.
//
// # Add a change
//
// A form with method post, and a line in [Console.actions]. The action calls [Console.change],
// which writes the audit entry in the transaction of the change. A change that has a transaction of
// its own goes through [Console.order], which commits the entry before it. The action returns where
// to go, and v.said what was done. The frame refuses requests from other sites and without an
// operator.
//
// # Add a download
//
// A line in [Console.downloads]. Its function writes while it reads through v.db, statement by
// statement, so that memory and time of a transaction don't grow with the list. It is audited as
// operator.exported. If it fails, the browser sees that the file is cut off.
//
// # Test a page
//
// Package browsertest opens it in Chromium; see browser_test.go. Check each state of the page in
// all of views(), and look at the screenshots.
package console

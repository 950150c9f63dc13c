// Package docs has the manual of operators, for the console. It guarantees that the console
// explains alarms in the words of the manual.
package docs

import _ "embed" // for the manual

//go:embed operate.md
var operate string

// Operate returns the manual of operators, as Markdown.
func Operate() string { return operate }

// Package spreadsheet writes CSV. It guarantees that no spreadsheet reads a formula in a cell.
package spreadsheet

import (
	"encoding/csv"
	"fmt"
	"io"
	"regexp"
)

// formula is the beginning of what a spreadsheet could read as a formula (OWASP, CSV injection). A
// spreadsheet that is set to another separator begins cells in the middle of ours, in spite of
// quotation marks. Some spreadsheets drop invisible characters before they look for a formula.
var formula = regexp.MustCompile(`(^|[;\t\r\n])([\pZ\pC"]*)([=+\-@＝＋－＠])`)

// Write writes one record. The format is that of RFC 4180, but with bare line feeds: with CRLF,
// encoding/csv would also rewrite the line feeds within a cell. An apostrophe before a formula
// keeps spreadsheets from reading it; cells without a formula stay as they are.
func Write(out io.Writer, cells ...string) error {
	guarded := make([]string, len(cells))
	for i, cell := range cells {
		guarded[i] = formula.ReplaceAllString(cell, "$1$2'$3")
	}
	to := csv.NewWriter(out)
	if err := to.Write(guarded); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	to.Flush()
	if err := to.Error(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

package spreadsheet_test

import (
	"bytes"
	"encoding/csv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/spreadsheet"
)

func TestWrite_GuardsFormulasAndNothingElse(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@a": "'@a", "\t=1": "\t'=1", "＝1": "'＝1", "a;=1": "a;'=1", "a\n=1": "a\n'=1",
		"\u200b=1": "\u200b'=1", `"=1`: `"'=1`, "a=1": "a=1", "": "", "a, \"b\"\nc": "a, \"b\"\nc",
	} {
		var out bytes.Buffer
		require.NoError(t, spreadsheet.Write(&out, cell, "next"))
		got, err := csv.NewReader(&out).Read()
		require.NoError(t, err)
		require.Equal(t, []string{want, "next"}, got)
	}
}

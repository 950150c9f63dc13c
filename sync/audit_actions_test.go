package sync_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestOwnActions_AreAllThatTheSourceNames: a new action that the list lacks would be refused as a
// filter.
func TestOwnActions_AreAllThatTheSourceNames(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	var named []clerksync.Action
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if of, ok := spec.Type.(*ast.Ident); ok && of.Name == "Action" && len(spec.Values) == 1 {
				text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				require.NoError(t, err)
				named = append(named, clerksync.Action(text))
			}
			return true
		})
	}
	require.ElementsMatch(t, named, clerksync.OwnActions())
	for _, action := range named {
		require.True(t, action.Reserved(), "%s could be a product's", action)
		require.False(t, action.Never(), action)
	}
	for action, never := range map[clerksync.Action]bool{
		"": false, "report.run": false, "members.removed": false, "none": false,
		"member.remvoed": true, "member": true, "operator.": true, "user.banned.": true,
	} {
		require.Equal(t, never, action.Never(), action)
	}
}

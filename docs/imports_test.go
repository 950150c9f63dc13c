package docs_test

import (
	"go/build"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/callmine/rolecall/"

var folderRow = regexp.MustCompile("(?m)^\\| `([\\w./]+)` \\|(.*)\\| ([^|]*) \\|$")

// importsOf returns which packages of the module the one in a folder imports, except what it hides
// below it.
func importsOf(t *testing.T, folder string, ofTests bool) []string {
	t.Helper()
	read, err := build.ImportDir("../"+folder, 0)
	if err != nil {
		require.ErrorAs(t, err, new(*build.NoGoError), folder)
	}
	found := read.Imports
	if ofTests {
		found = slices.Concat(read.TestImports, read.XTestImports)
	}
	imports := []string{}
	for _, imported := range found {
		if within, ours := strings.CutPrefix(imported, module); ours && within != folder && !strings.HasPrefix(within, folder+"/internal/") {
			imports = append(imports, within)
		}
	}
	return imports
}

// TestArchitecture_FoldersImportWhatTheirRowsSay: in the table of folders, the last column names
// the imports of the package; if it has tests only, those of its tests. A folder of
// cmd/rolecall/internal may go by its name alone. Words may add the folders below a name, or its
// imports.
func TestArchitecture_FoldersImportWhatTheirRowsSay(t *testing.T) {
	t.Parallel()
	table, _, _ := strings.Cut(readDocument(t, "../ARCHITECTURE.md"), "\n## ")
	rows := folderRow.FindAllStringSubmatch(table, -1)
	require.Greater(t, len(rows), 30)
	wrong := []string{}
	for _, row := range rows {
		folder, words, column := row[1], row[2], row[3]
		named, below := []string{}, []string{}
		for _, name := range nameOfFolder.FindAllStringSubmatch(column, -1) {
			named = append(named, placeOf(name[1]))
		}
		switch {
		case strings.Contains(column, "the folders below it"):
			below = []string{folder}
		case strings.Contains(column, "the folders below them"):
			below = []string{"jobs", "api", "webhooks"}
		case strings.Contains(column, "and its imports"):
			below = append(importsOf(t, named[0], false), "jobs", "api")
		}
		imports := importsOf(t, folder, strings.Contains(words, "tests only"))
		for _, imported := range imports {
			within := func(folder string) bool { return strings.HasPrefix(imported+"/", folder+"/") }
			if !slices.Contains(named, imported) && !slices.ContainsFunc(below, within) {
				wrong = append(wrong, folder+" imports "+imported+", and its row doesn't say so")
			}
		}
		for _, name := range named {
			if !slices.Contains(imports, name) && !slices.Contains(below, name) {
				wrong = append(wrong, folder+" doesn't import "+name+", as its row says")
			}
		}
	}
	require.Empty(t, wrong)
}

var nameOfFolder = regexp.MustCompile("`([\\w./]+)`")

// placeOf returns the folder that a name means.
func placeOf(name string) string {
	if _, err := os.Stat("../" + name); err != nil {
		return path.Join("cmd/rolecall/internal", name)
	}
	return name
}

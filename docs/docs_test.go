// Package docs_test holds the documents against the code. It guarantees that they describe each
// alarm, notice, guard, metric, setting, problem and exit code, and no other, and that the files
// they name are there.
package docs_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// code is what the sources of the module say, as far as documents tell it.
type code struct {
	consts   map[string]map[string]string // the values of constants by their names, by the name of their type; "" for none
	metrics  []string
	settings []string
	// secretFiles are the variables that may name a file with a setting's value.
	secretFiles []string
}

// readCode reads the sources of the module, without tests.
func readCode(t *testing.T) code {
	t.Helper()
	c := code{consts: map[string]map[string]string{}}
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && slices.Contains([]string{".ci", "node_modules", "build", "dist"}, entry.Name()) {
			return filepath.SkipDir // not the product's sources
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			c.read(file)
		}
		return err
	}))
	return c
}

var (
	metricName  = regexp.MustCompile(`^rolecall_[a-z_]+$`)
	settingName = regexp.MustCompile(`\benv:"([A-Z_]+)"( secret:"(?:all|urls?)")?`)
)

func (c *code) read(file *ast.File) {
	shows := slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return strings.Contains(i.Path.Value, "/prometheus") })
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			c.addConst(n)
		case *ast.BasicLit:
			if name, err := strconv.Unquote(n.Value); err == nil && shows && metricName.MatchString(name) {
				c.metrics = append(c.metrics, name)
			}
		case *ast.Field:
			if n.Tag != nil {
				for _, m := range settingName.FindAllStringSubmatch(n.Tag.Value, -1) {
					c.settings = append(c.settings, m[1])
					if m[2] != "" {
						c.secretFiles = append(c.secretFiles, m[1]+"_FILE")
					}
				}
			}
		}
		return true
	})
}

func (c *code) addConst(spec *ast.ValueSpec) {
	kind := ""
	if named, ok := spec.Type.(*ast.Ident); ok {
		kind = named.Name
	}
	if c.consts[kind] == nil {
		c.consts[kind] = map[string]string{}
	}
	for i, value := range spec.Values {
		if literal, ok := value.(*ast.BasicLit); ok {
			c.consts[kind][spec.Names[i].Name] = strings.Trim(literal.Value, `"`)
		}
	}
}

// values returns the values of the constants of a type; of those without one, of the names that
// match.
func (c *code) values(t *testing.T, kind, names string) []string {
	t.Helper()
	found := map[string]bool{}
	for name, value := range c.consts[kind] {
		if regexp.MustCompile(names).MatchString(name) {
			found[value] = true
		}
	}
	require.NotEmpty(t, found, "the code has no constants %s of the type %q: were they renamed?", names, kind)
	return slices.Sorted(maps.Keys(found))
}

func readDocument(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// section returns what is below a heading.
func section(t *testing.T, document, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(document, "\n"+heading+"\n")
	require.True(t, ok, "no heading %s", heading)
	level, _, _ := strings.Cut(heading, " ")
	rest, _, _ = strings.Cut(rest, "\n"+level+" ")
	return rest
}

// named returns in order what a pattern's group finds in a text.
func named(pattern, text string) []string {
	found := []string{}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return found
}

func TestDocsNameWhatTheCodeHas(t *testing.T) {
	t.Parallel()
	code := readCode(t)
	operate := readDocument(t, "operate.md")
	t.Run("alarms", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, code.values(t, "AlarmName", ""), named("(?m)^### Alarm `([a-z_]+)`$", operate))
	})
	t.Run("notices", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, code.values(t, "NoticeName", ""), named("(?m)^### Notice `([a-z_]+)`$", operate))
	})
	t.Run("guards", func(t *testing.T) {
		t.Parallel()
		guards := append(code.values(t, "GuardReason", ""), code.values(t, "", "^Reason(Unreadable|ReadsBehind)$")...)
		slices.Sort(guards)
		require.Equal(t, slices.Compact(guards), named("(?m)^### Guard `([a-z_]+)`$", operate))
	})
	t.Run("metrics", func(t *testing.T) {
		t.Parallel()
		require.NotEmpty(t, code.metrics)
		require.ElementsMatch(t, code.metrics, named("(?m)^\\| `(rolecall_[a-z_]+)(?:\\{[a-z_,]+\\})?` \\|", section(t, operate, "## Metrics")))
	})
	t.Run("alerts", func(t *testing.T) {
		t.Parallel()
		all := named("(?m)^### Alert `(\\w+)`$", operate)
		for _, name := range code.values(t, "AlarmName", "") {
			all = append(all, alertOf(name))
		}
		slices.Sort(all)
		require.Equal(t, all, named(`(?m)^  - alert: (\w+)`, readDocument(t, "../deploy/prometheus/rolecall.rules.yaml")))
	})
	t.Run("exit codes", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, code.values(t, "", "^exit[A-Z]"), named(`(?m)^\| (\d+) \|`, section(t, operate, "## Exit codes")))
	})
	t.Run("settings", func(t *testing.T) {
		t.Parallel()
		require.NotEmpty(t, code.settings)
		require.ElementsMatch(t, code.settings, named("(?m)^\\| `([A-Z_]+)` \\|", readDocument(t, "configuration.md")))
		require.ElementsMatch(t, code.secretFiles, named("(?m); or `([A-Z_]+_FILE)` \\|$", readDocument(t, "configuration.md")))
	})
	t.Run("events", func(t *testing.T) {
		t.Parallel()
		_, list, _ := strings.Cut(section(t, readDocument(t, "../README.md"), "## Put it in production"), "Subscribe it to")
		list, _, _ = strings.Cut(list, "Rolecall ignores")
		needed := code.values(t, "EventType", "")
		for i, event := range needed {
			if group, _, _ := strings.Cut(event, "."); !slices.Contains(named("`([a-zA-Z]+\\.[a-z]+)`", list), event) {
				needed[i] = group + ".*"
			}
		}
		require.ElementsMatch(t, slices.Compact(needed), named("`([a-zA-Z]+\\.[a-z*]+)`", list))
	})
	t.Run("problems", func(t *testing.T) {
		t.Parallel()
		problems := named("urn:rolecall:problem:([a-z-]+)", readDocument(t, "../api/openapi.yaml"))
		require.Equal(t, slices.Compact(problems), named("(?m)^\\| `([a-z-]+)` \\| \\d", section(t, readDocument(t, "api.md"), "## Handle problems")))
	})
	t.Run("no other settings", func(t *testing.T) {
		t.Parallel()
		known := append([]string{ // a wrong spelling, those of tests, and those of Clerk's own libraries and of applications beside dev
			"CLERK_WEBHOOK_SECRET", "ROLECALL_TEST_DATABASE_URL", "ROLECALL_TEST_SURROUNDINGS", "ROLECALL_TEST_ARTIFACTS", "ROLECALL_BENCH_FLAT", "ROLECALL_BENCH_LARGE_URL",
			"CLERK_PUBLISHABLE_KEY", "CLERK_JWT_KEY", "ROLECALL_URL", "ROLECALL_SERVICE_TOKEN",
		}, slices.Concat(code.settings, code.secretFiles, named(`\{\$([A-Z_]+)\}`, readDocument(t, "../deploy/proxy/Caddyfile")), named(`\$\{([A-Z_]+)`, readDocument(t, "../deploy/compose.yaml")))...)
		for _, document := range documents(t) {
			for _, setting := range named(`\b((?:ROLECALL|CLERK)_[A-Z_]*[A-Z])\b`, readDocument(t, document)) {
				require.Contains(t, known, setting, document)
			}
		}
	})
}

// alertOf returns the name of the alert of an alarm: of never_swept, RolecallNeverSwept.
func alertOf(alarm string) string {
	name := "Rolecall"
	for word := range strings.SplitSeq(alarm, "_") {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	return name
}

// TestDocsSayWhatToDoAboutEachAlert: each alert says what is wrong and what to do, and leads to the
// heading of its alarm, or to its own.
func TestDocsSayWhatToDoAboutEachAlert(t *testing.T) {
	t.Parallel()
	headings := anchors(readDocument(t, "operate.md"))
	ofAlarm := regexp.MustCompile(`rolecall_alarm\{name="(\w+)"\}`)
	for _, rule := range strings.Split(readDocument(t, "../deploy/prometheus/rolecall.rules.yaml"), "\n  - alert: ")[1:] {
		name := regexp.MustCompile(`^\w+`).FindString(rule)
		want := "alert-" + strings.ToLower(name)
		if alarm := ofAlarm.FindStringSubmatch(rule); alarm != nil {
			require.Equal(t, alertOf(alarm[1]), name)
			want = "alarm-" + alarm[1]
		}
		require.Contains(t, headings, want, name)
		for _, line := range []string{
			`labels: \{severity: (?:page|ticket|info)\}`, `  summary: \S.+[.\]]'?`, `  action: \S.+\.`, `  runbook_url: docs/operate\.md#` + want,
		} {
			require.Regexp(t, `(?m)^    `+line+`$`, rule, name)
		}
	}
}

// documents returns the paths of all documents.
func documents(t *testing.T) []string {
	t.Helper()
	above, err := filepath.Glob("../*.md")
	require.NoError(t, err)
	here, err := filepath.Glob("*.md")
	require.NoError(t, err)
	require.NotEmpty(t, here)
	return append(above, here...)
}

var (
	fence    = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notOfKey = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors returns the anchors that GitHub gives to the headings of a document.
func anchors(document string) []string {
	keys := []string{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(document, ""), -1) {
		keys = append(keys, strings.ReplaceAll(notOfKey.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return keys
}

func TestDocsLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, document := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(readDocument(t, document), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			target := document
			if path != "" {
				target = filepath.Join(filepath.Dir(document), path)
			}
			require.FileExists(t, target, "%s links to %s", document, m[1])
			if anchor != "" {
				require.Contains(t, anchors(readDocument(t, target)), anchor, "%s links to %s", document, m[1])
			}
		}
	}
}

var (
	// placed is a path in backticks, and the names in parentheses after it.
	placed     = regexp.MustCompile("`([\\w.][\\w./-]*)`(?:\\s+\\((`[^)]+)\\))?")
	nameOfCode = regexp.MustCompile("`([\\w.]+)`")
	ofAFile    = regexp.MustCompile(`\.(?:go|md|sql|yaml|yml|conf)$`)
)

// TestArchitecture_NamesWhatIsThere: what a path of the two documents names is there, and so are
// the names after it. The name of a file may leave out its folder.
func TestArchitecture_NamesWhatIsThere(t *testing.T) {
	t.Parallel()
	sources, missing := sourceFiles(t), []string{}
	for _, document := range []string{"../ARCHITECTURE.md", "../CONTRIBUTING.md"} {
		for _, m := range placed.FindAllStringSubmatch(fence.ReplaceAllString(readDocument(t, document), ""), -1) {
			path := strings.TrimSuffix(m[1], "/")
			if !ofAFile.MatchString(path) && !strings.Contains(path, "/") || strings.Contains(path, "000NN") { // the next migration
				continue
			}
			at := slices.IndexFunc(sources, func(s string) bool { return strings.HasSuffix("/"+s, "/"+path) })
			if at < 0 {
				missing = append(missing, path)
				continue
			}
			for _, name := range nameOfCode.FindAllStringSubmatch(m[2], -1) {
				if !regexp.MustCompile(`\b` + regexp.QuoteMeta(name[1]) + `\b`).MatchString(readDocument(t, "../"+sources[at])) {
					missing = append(missing, path+": "+name[1])
				}
			}
		}
	}
	slices.Sort(missing)
	require.Empty(t, slices.Compact(missing))
}

// sourceFiles returns the paths of all files and folders of the module, the shortest first.
func sourceFiles(t *testing.T) []string {
	t.Helper()
	paths := []string{}
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && slices.Contains([]string{".git", "node_modules", "bin", "build", "dist", "generated"}, entry.Name()) {
			return filepath.SkipDir // what builds write, maybe just now
		}
		paths = append(paths, strings.TrimPrefix(filepath.ToSlash(path), "../"))
		return err
	}))
	slices.SortStableFunc(paths, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	return paths
}

// TestDocsListTheirHeadings: each page begins with links to all its tasks.
func TestDocsListTheirHeadings(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("*.md")
	require.NoError(t, err)
	for _, page := range pages {
		text := readDocument(t, page)
		head, _, _ := strings.Cut(text, "\n## ")
		for _, m := range regexp.MustCompile(`(?m)^## .+$`).FindAllString(fence.ReplaceAllString(text, ""), -1) {
			require.Contains(t, head, "(#"+anchors(m)[0]+")", "%s doesn't list %s", page, m)
		}
	}
}

// TestDocsShowTheTestedGo: the lines of the documents are those of the client's example.
func TestDocsShowTheTestedGo(t *testing.T) {
	t.Parallel()
	example := readDocument(t, "../api/client/example_test.go")
	for _, document := range []string{"../README.md", "integrate.md"} {
		lines := named(`(?m)^ *(.*(?:client\.New|r\.PathValue|mux\.Handle)\(.*)$`, readDocument(t, document))
		require.Len(t, lines, 3, document)
		for _, line := range lines {
			require.Contains(t, example, "\t"+line+"\n", document)
		}
	}
}

// TestDocsShowTheTestedTypeScript: the examples of the document are whole files of ten lines at
// most, which the TypeScript client's tests run.
func TestDocsShowTheTestedTypeScript(t *testing.T) {
	t.Parallel()
	shown := section(t, readDocument(t, "integrate.md"), "## Protect routes in TypeScript")
	express := readDocument(t, "../api/client/typescript/examples/express.ts")
	for _, example := range []string{express, readDocument(t, "../api/client/typescript/examples/next/app/workspaces/[workspace]/report/route.ts")} {
		require.Contains(t, shown, "\n```ts\n"+example+"```\n")
		require.LessOrEqual(t, strings.Count(example, "\n"), 10)
	}
	lines := named(`(?m)^ *(.*(?:requirePermission|middleware)\(.*)$`, readDocument(t, "../README.md"))
	require.Len(t, lines, 2)
	for _, line := range lines {
		require.Contains(t, express, line+"\n")
	}
}

// TestDocsShowTheTestedFollowers: the examples of the document are functions and a file that tests
// run.
func TestDocsShowTheTestedFollowers(t *testing.T) {
	t.Parallel()
	shown := section(t, readDocument(t, "integrate.md"), "## Close sockets, evict caches, cut keys when somebody leaves")
	examples := regexp.MustCompile("(?ms)^```(?:go|ts)\n(.*?)^```$").FindAllStringSubmatch(shown, -1)
	require.Len(t, examples, 3)
	for i, tested := range []string{"cmd/rolecall/follow_example_test.go", "api/client/typescript/examples/sockets.ts", "cmd/rolecall/follow_example_test.go"} {
		require.Contains(t, readDocument(t, "../"+tested), examples[i][1], tested)
	}
}

func TestDocsShowTheBuiltInPolicy(t *testing.T) {
	t.Parallel()
	policy := slices.Compact(named(`(?m)^ +- (\S+)$`, readDocument(t, "../api/policy/policy.yaml")))
	table := named("`([a-z]+:[a-z]+)`", strings.ReplaceAll(section(t, readDocument(t, "policy.md"), "## Know the built-in policy"), "org:", ""))
	require.Equal(t, policy, slices.Compact(slices.DeleteFunc(table, func(p string) bool { return p == "org:member" })))
}

// TestDocsBuildTheImages that they mean: by arguments that the Containerfile has. An image has no
// simulator unless that is asked for.
func TestDocsBuildTheImages(t *testing.T) {
	t.Parallel()
	file := readDocument(t, "../deploy/Containerfile")
	arguments := named(`(?m)^ARG (\w+)=`, file)
	for _, document := range []string{"deploy.md", "simulator.md", "../deploy/Containerfile"} {
		given := named(`--build-arg (\w+)=`, readDocument(t, document))
		require.NotEmpty(t, given, document)
		require.Subset(t, arguments, given, document)
	}
	require.Contains(t, file, "ARG TAGS=nodev\n")
	require.Contains(t, file, `-tags "${TAGS}"`)
	require.Contains(t, readDocument(t, "simulator.md"), "--build-arg TAGS= .\n")
}

func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, strings.Count(readDocument(t, "../README.md"), "\n"), 120)
}

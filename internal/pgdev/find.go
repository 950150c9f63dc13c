package pgdev

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// minMajor is the oldest Postgres accepted: initdb has --no-instructions from 14 on, and 13 gets no
// more fixes.
const minMajor = 14

// NoBinariesError means that no usable Postgres was found and none could be fetched.
type NoBinariesError struct {
	Looked []string // every place looked at, each with what was found there
	Fetch  error    // why fetching failed; nil if it wasn't tried
}

// Error lists every place looked at, and what to do.
func (e *NoBinariesError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no usable PostgreSQL (initdb and postgres, version %d or later) found; looked at:", minMajor)
	for _, place := range e.Looked {
		b.WriteString("\n  - " + place)
	}
	if e.Fetch != nil {
		fmt.Fprintf(&b, "\nfetching one failed too: %v", e.Fetch)
	}
	b.WriteString("\ninstall it (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; " +
		"macOS: brew install postgresql@17), or set PG_BINDIR to the folder that holds initdb and postgres, " +
		"or set DATABASE_URL to a running server")
	return b.String()
}

// Unwrap returns the reason why fetching failed.
func (e *NoBinariesError) Unwrap() error { return e.Fetch }

// search knows the places of binaries. Tests replace its fields.
type search struct {
	env   func(string) string
	globs []string // folders tried after PATH; within a glob, the highest version comes first
	fetch func(ctx context.Context, acct account) (binDir string, err error)
}

func newSearch(logger *slog.Logger) *search {
	download := func(cacheDir, target string) error { return downloadEmbedded(fetchRepository, cacheDir, target) }
	return &search{
		env: os.Getenv,
		globs: []string{
			"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
			"/usr/pgsql-*/bin",                  // packages of postgresql.org for Fedora and its kin
			"/usr/libexec/postgresql*",          // Alpine
			"/opt/homebrew/opt/postgresql*/bin", // Homebrew on Apple silicon
			"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel
			"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
			"/Applications/Postgres.app/Contents/Versions/*/bin",
		},
		fetch: (&fetcher{logger: logger, download: download}).fetch,
	}
}

// find returns the installation to use: the first one in search order. If wantMajor isn't 0, only
// that version can read the data folder, so find returns the first one of that version.
func (s *search) find(ctx context.Context, acct account, wantMajor int) (installation, error) {
	found, looked := s.installed(ctx, acct)
	if err := ctx.Err(); err != nil { // then what was found isn't all, and nothing need be fetched
		return installation{}, err
	}
	for _, inst := range found {
		if wantMajor == 0 || inst.major == wantMajor {
			return inst, nil
		}
	}
	if wantMajor != 0 && len(found) > 0 {
		return installation{}, fmt.Errorf("the data was written by PostgreSQL %d, but only these are installed: %s; "+
			"install version %d or remove the data folder", wantMajor, versions(found), wantMajor)
	}
	if s.env("PG_BINDIR") != "" {
		// An explicit wish is not silently replaced by a download.
		return installation{}, &NoBinariesError{Looked: looked}
	}
	dir, err := s.fetch(ctx, acct)
	if err != nil {
		return installation{}, &NoBinariesError{Looked: looked, Fetch: err}
	}
	inst, problem := inspect(ctx, acct, dir)
	if problem != "" {
		return installation{}, &NoBinariesError{Looked: append(looked, "fetched "+dir+": "+problem)}
	}
	if wantMajor != 0 && inst.major != wantMajor {
		return installation{}, fmt.Errorf("the data was written by PostgreSQL %d, but version %s was fetched; "+
			"install version %d or remove the data folder", wantMajor, inst.version, wantMajor)
	}
	return inst, nil
}

// installed returns every usable installation in search order, and a line for each place looked at.
func (s *search) installed(ctx context.Context, acct account) (found []installation, looked []string) {
	seen := map[string]bool{}
	try := func(source, dir string) bool {
		if dir == "" || seen[dir] {
			return false
		}
		seen[dir] = true
		inst, problem := inspect(ctx, acct, dir)
		if problem != "" {
			looked = append(looked, fmt.Sprintf("%s %s: %s", source, dir, problem))
			return false
		}
		found = append(found, inst)
		return true
	}

	if dir := s.env("PG_BINDIR"); dir != "" {
		try("PG_BINDIR", dir)
		return found, looked
	}
	looked = append(looked, "PG_BINDIR: not set")
	path := s.env("PATH")
	inPath := false
	for _, dir := range filepath.SplitList(path) {
		// Only folders with a postgres are named: the whole PATH would hide them.
		if _, err := os.Stat(filepath.Join(dir, "postgres")); filepath.IsAbs(dir) && err == nil {
			inPath = try("PATH", dir) || inPath
		}
	}
	if !inPath {
		looked = append(looked, "PATH "+path+": no folder with both initdb and postgres")
	}
	if dir, problem := pgConfigDir(ctx, path); problem != "" {
		looked = append(looked, "pg_config --bindir: "+problem)
	} else {
		try("pg_config --bindir", dir)
	}
	for _, glob := range s.globs {
		dirs, _ := filepath.Glob(glob) // its only error is a bad pattern
		if len(dirs) == 0 {
			looked = append(looked, glob+": nothing there")
		}
		slices.SortStableFunc(dirs, func(a, b string) int { return lastNumber(b) - lastNumber(a) })
		for _, dir := range dirs {
			try(glob, dir)
		}
	}
	return found, looked
}

// pgConfigDir asks the first pg_config in path, which may be that of the client library only.
func pgConfigDir(ctx context.Context, path string) (dir, problem string) {
	for _, folder := range filepath.SplitList(path) {
		tool := filepath.Join(folder, "pg_config")
		if info, err := os.Stat(tool); err != nil || info.IsDir() || !filepath.IsAbs(folder) {
			continue
		}
		out, err := exec.CommandContext(ctx, tool, "--bindir").Output()
		if err != nil {
			return "", fmt.Sprintf("%s failed: %v", tool, err)
		}
		return strings.TrimSpace(string(out)), ""
	}
	return "", "no pg_config in PATH"
}

var numberPattern = regexp.MustCompile(`\d+`)

// lastNumber is the version in a folder name such as /usr/lib/postgresql/15/bin; 0 if there is
// none.
func lastNumber(dir string) int {
	numbers := numberPattern.FindAllString(dir, -1)
	if len(numbers) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(numbers[len(numbers)-1])
	return n
}

func versions(found []installation) string {
	var all []string
	for _, inst := range found {
		all = append(all, inst.version)
	}
	return strings.Join(all, ", ")
}

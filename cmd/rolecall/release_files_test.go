package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// TestRelease_HasDeployAndNoSecrets: an archive has each file of deploy, and never what somebody
// who deploys from the same clone has put there, as docs/deploy.md says.
func TestRelease_HasDeployAndNoSecrets(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../.goreleaser.yaml")
	require.NoError(t, err)
	var patterns []string
	for _, source := range regexp.MustCompile(`\{ src: "?(deploy/[^", ]+)"?, info`).FindAllSubmatch(text, -1) {
		patterns = append(patterns, string(source[1]))
	}
	// A pattern takes the folders that it matches, with all that is in them.
	taken := func(name string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool {
			for part := name; part != "."; part = path.Dir(part) {
				if ok, err := path.Match(pattern, part); ok || err != nil {
					return true
				}
			}
			return false
		})
	}
	secret := regexp.MustCompile(`^deploy/(\.env$|rolecall\.env$|policy/|secrets/)`)
	require.False(t, taken("deploy/secrets/CLERK_SECRET_KEY"))
	require.False(t, taken("deploy/.env"))
	require.False(t, taken("deploy/rolecall.env"))
	files := 0
	require.NoError(t, fs.WalkDir(os.DirFS(filepath.Join("..", "..")), "deploy", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !secret.MatchString(name) {
			files++
			require.True(t, taken(name), "no archive has %s", name)
		}
		return err
	}))
	require.Greater(t, files, 15)
}

// TestSecrets_StayOutOfCommitsAndImages: docs/deploy.md has secrets written into these folders of
// the clone.
func TestSecrets_StayOutOfCommitsAndImages(t *testing.T) {
	t.Parallel()
	git, image := servicetest.Text(t, ".gitignore"), servicetest.Text(t, ".dockerignore")
	folders := regexp.MustCompile(`mkdir (?:-m \d+ )?([a-z/]+)`).FindAllStringSubmatch(servicetest.Text(t, "docs/deploy.md"), -1)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		require.Contains(t, git, "\n/"+folder[1]+"/\n")
		require.Contains(t, image, "\n"+folder[1]+"\n")
	}
}

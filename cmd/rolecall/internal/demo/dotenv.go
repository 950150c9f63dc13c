package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/joho/godotenv"
)

// assignment is a line that a file of variables may have: NAME=value, also as a shell would export
// it.
var assignment = regexp.MustCompile(`^(export\s+)?[A-Za-z_][A-Za-z0-9_.]*\s*[=:]`)

// loadDotEnv adds what .env in the working folder sets to the environment, where there is such a
// file. Its errors have none of the file's text, which holds secrets.
func loadDotEnv() error {
	err := godotenv.Load()
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	text, readErr := os.ReadFile(".env")
	if readErr != nil {
		return fmt.Errorf("read .env: %w", readErr)
	}
	return fmt.Errorf("read .env: %s: write one NAME=value on each line", dotEnvFault(string(text)))
}

// dotEnvFault says where a file that can't be read is wrong.
func dotEnvFault(text string) string {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") && !assignment.MatchString(line) {
			return fmt.Sprintf("line %d is no assignment", n)
		}
	}
	return "a quotation mark isn't closed"
}

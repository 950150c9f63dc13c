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

// assignment matches a line of a file of variables: NAME=value, with or without export.
var assignment = regexp.MustCompile(`^(export\s+)?[A-Za-z_][A-Za-z0-9_.]*\s*[=:]`)

// loadDotEnv adds the variables of .env in the working folder, if there is one, to the environment.
// Its errors have none of the file's text, which holds secrets.
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

// dotEnvFault names the fault of an unreadable file and its line.
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

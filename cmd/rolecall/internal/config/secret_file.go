package config

import (
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/callmine/rolecall/internal/regular"
)

const (
	// fileSuffix follows a secret's name in the variable that names the secret's file.
	fileSuffix = "_FILE"
	// maxSecret bounds a secret's file, in bytes, as Linux bounds a variable of the environment.
	maxSecret = 128 << 10
)

// FileVariable names the variable that may name a file with this setting's value; "" if only the
// setting itself may give it. What must not be printed whole is a secret; an address isn't one.
func (s Setting) FileVariable() string {
	if s.secret == "all" || s.secret == "url" || s.secret == "urls" {
		return s.Name + fileSuffix
	}
	return ""
}

// SecretFiles lists the variables of the environment that name a secret's file.
func SecretFiles() []Setting {
	var files []Setting
	for _, s := range (Config{}).Settings() {
		if path := inEnvironment(s.FileVariable()); path != "" {
			files = append(files, Setting{Name: s.FileVariable(), Value: shownPath(path)})
		}
	}
	return files
}

// inEnvironment returns a variable of the environment without the blanks around it.
func inEnvironment(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// readSecretFile returns the value of a setting from the file that its variable names; "" if that
// isn't set. The file is read once: a new secret takes effect with the next start. It has one line.
func readSecretFile(s Setting) (string, error) {
	name := s.FileVariable()
	if name == "" || inEnvironment(name) == "" {
		return "", nil
	}
	if inEnvironment(s.Name) != "" {
		return "", wrong(s.Name, "it is set, and so is %s: unset one of them", name)
	}
	path := inEnvironment(name)
	text, err := regular.Read(path, maxSecret)
	if err != nil {
		return "", wrong(name, "%s can't be read: %v: name a file that holds %s and that this process may read", shownPath(path), err, s.Name)
	}
	value := strings.TrimSpace(string(text))
	switch {
	case value == "":
		return "", wrong(name, "%s is empty: write the value of %s into it", shownPath(path), s.Name)
	case strings.ContainsAny(value, "\r\n"):
		return "", wrong(name, "%s has several lines: write the value of %s on one, and nothing else", shownPath(path), s.Name)
	case strings.ContainsFunc(value, func(c rune) bool { return !unicode.IsPrint(c) || c == unicode.ReplacementChar }):
		return "", wrong(name, "%s has a character that isn't printable: write the value of %s as plain text, without a byte order mark", shownPath(path), s.Name)
	}
	return value, nil
}

// shownPath quotes the name of a secret's file. It hides a name that may be the secret itself,
// which never begins with a slash.
func shownPath(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return shown(path)
}

package main

import (
	"fmt"
	"slices"
	"strings"
)

// verdict is how something was found to be.
type verdict string

// The verdicts. A wrong finding keeps Rolecall from its work, a warning doesn't.
const (
	verdictOK      verdict = "ok"
	verdictWarning verdict = "warning"
	verdictWrong   verdict = "wrong"
)

// finding is one thing that was looked at.
type finding struct {
	Check  string  `json:"check"`
	State  verdict `json:"state"`
	Detail string  `json:"detail"`
	Cure   string  `json:"cure,omitempty"` // what to do, unless it is ok
}

func fine(check, format string, args ...any) finding {
	return finding{Check: check, State: verdictOK, Detail: fmt.Sprintf(format, args...)}
}

func doubtful(check, cure, format string, args ...any) finding {
	return finding{Check: check, State: verdictWarning, Detail: fmt.Sprintf(format, args...), Cure: cure}
}

func bad(check, cure, format string, args ...any) finding {
	return finding{Check: check, State: verdictWrong, Detail: fmt.Sprintf(format, args...), Cure: cure}
}

// examination is what `rolecall doctor --json` prints. Todo has the most urgent first.
type examination struct {
	OK     bool      `json:"ok"` // nothing is wrong
	Checks []finding `json:"checks"`
	Todo   []string  `json:"todo"`
}

// settingsFindings tells the faults of the environment and of the policy file.
func settingsFindings(warnings []string, err error) []finding {
	var found []finding
	for _, fault := range faultsOf(err) {
		found = append(found, bad("settings", "correct it: "+fault, "%s", fault))
	}
	for _, warning := range warnings {
		found = append(found, doubtful("settings", "correct or remove it: "+warning, "%s", warning))
	}
	if len(found) == 0 {
		found = append(found, fine("settings", "all that are set can be right"))
	}
	return found
}

// faultsOf takes a joined error apart.
func faultsOf(err error) []string {
	if err == nil {
		return nil
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var all []string
		for _, one := range several.Unwrap() {
			all = append(all, faultsOf(one)...)
		}
		return all
	}
	return []string{err.Error()}
}

func examinationOf(found []finding) examination {
	e := examination{OK: true, Checks: found, Todo: []string{}}
	for i := range found {
		found[i].Detail, found[i].Cure = onOneLine(found[i].Detail), onOneLine(found[i].Cure)
	}
	for _, state := range []verdict{verdictWrong, verdictWarning} {
		for _, f := range found {
			if f.State == state {
				e.OK = e.OK && state != verdictWrong
				if todo := f.Check + ": " + f.Cure; !slices.Contains(e.Todo, todo) {
					e.Todo = append(e.Todo, todo)
				}
			}
		}
	}
	return e
}

// onOneLine puts a text of others onto one line.
func onOneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

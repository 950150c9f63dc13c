package console

import (
	"html/template"
	"regexp"
	"strings"

	"github.com/callmine/rolecall/docs"
)

func (c *Console) helpPages() []page {
	topics := explained(docs.Operate())
	return []page{{path: "/help/alarms", title: "What alarms mean", template: "help", still: topics}}
}

// topic is what the manual says of an alarm, a notice or a guard.
type topic struct {
	ID         string // alarm-never_swept
	Sort, Name string // Alarm, never_swept
	Paragraphs []template.HTML
}

// headings of the manual that the page shows, such as "### Alarm `never_swept`".
var topicHeading = regexp.MustCompile("^### (Alarm|Notice|Guard) `([a-z_]+)`$") //nolint:gochecknoglobals // it never changes

// explained returns the topics of the manual.
func explained(manual string) (topics []topic) {
	var current *topic
	var paragraph []string
	end := func() {
		if current != nil && len(paragraph) > 0 {
			current.Paragraphs = append(current.Paragraphs, inline(strings.Join(paragraph, " ")))
		}
		paragraph = nil
	}
	for text := range strings.Lines(manual) {
		text = strings.TrimSpace(text)
		heading := topicHeading.FindStringSubmatch(text)
		switch {
		case heading != nil:
			end()
			topics = append(topics, topic{ID: strings.ToLower(heading[1]) + "-" + heading[2], Sort: heading[1], Name: heading[2]})
			current = &topics[len(topics)-1]
		case strings.HasPrefix(text, "#"):
			end()
			current = nil
		case text == "":
			end()
		default:
			paragraph = append(paragraph, text)
		}
	}
	end()
	return topics
}

var (
	linked = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`) //nolint:gochecknoglobals // it never changes
	quoted = regexp.MustCompile("`([^`]*)`")             //nolint:gochecknoglobals // it never changes
	bold   = regexp.MustCompile(`\*\*([^*]*)\*\*`)       //nolint:gochecknoglobals // it never changes
)

// inline makes a paragraph of the manual HTML. Links lose their targets: the console doesn't have
// the other pages of the manual.
func inline(text string) template.HTML {
	text = template.HTMLEscapeString(linked.ReplaceAllString(text, "$1"))
	text = quoted.ReplaceAllString(text, "<code>$1</code>")
	return template.HTML(bold.ReplaceAllString(text, "<b>$1</b>")) //nolint:gosec // the manual is ours
}

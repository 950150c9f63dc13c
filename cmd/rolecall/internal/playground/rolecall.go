package playground

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// problem is a refusal of Rolecall's, or that it gave no answer, or the product's own refusal.
type problem struct {
	Request string `json:"-"` // method and path; "" for the product's own
	Body    string `json:"-"` // as it came
	Status  int    `json:"-"`
	Title   string `json:"title"`
	Detail  string `json:"detail"`
	Reason  string `json:"reason"`
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s %s", p.Status, p.Title, p.Detail) }

// refusal is the product's own answer to a form or a path with a mistake.
func refusal(status int, title string) error { return &problem{Status: status, Title: title} }

// rolecall is Rolecall's HTTP API, as any product sees it.
type rolecall struct {
	url  string
	http *http.Client
}

// patience is longer than Rolecall waits for Clerk when it gives a command.
const patience = 15 * time.Second

// unanswered is the status where no answer of Rolecall's came.
const unanswered = -1

// call sends a request as the bearer of a token, and reads the answer. It returns its status, or
// unanswered. Everything but a success is a *problem, whose status is that of the product's page.
func (c rolecall) call(ctx context.Context, token, method, path string, body, into any) (status int, err error) {
	text, err := json.Marshal(body)
	if body == nil {
		text = nil
	}
	if err != nil {
		return unanswered, err
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(text))
	if err != nil {
		return unanswered, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	refused := &problem{
		Request: method + " " + path, Status: http.StatusServiceUnavailable, Title: "Rolecall doesn't answer",
		Detail: "Without its answer, Callmine shows nothing and does nothing. Try again.",
	}
	response, err := c.http.Do(r)
	if err != nil {
		return unanswered, refused
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return unanswered, refused
	case response.StatusCode >= http.StatusMultipleChoices:
		refused.Status, refused.Body, refused.Title, refused.Detail = response.StatusCode, string(answer), response.Status, ""
		_ = json.Unmarshal(answer, refused) // an error means a page that isn't Rolecall's
		return response.StatusCode, refused
	case into == nil:
		return response.StatusCode, nil
	}
	if json.Unmarshal(answer, into) != nil {
		refused.Status, refused.Title = http.StatusBadGateway, "The answer isn't Rolecall's"
		return unanswered, refused
	}
	return response.StatusCode, nil
}

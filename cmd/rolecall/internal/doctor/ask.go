package doctor

import (
	"context"
	"io"
	"net/http"
)

// maxAsked is the number of bytes of a page that are read.
const maxAsked = 1 << 10

// ask returns the status and the beginning of a page. Without an answer, it returns 0 and the
// reason.
func ask(ctx context.Context, client *http.Client, url string) (status int, text string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err.Error()
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAsked))
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(body)
}

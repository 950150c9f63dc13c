package api

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/callmine/rolecall/api/policy"
)

// originalRequest is the request about which a proxy asks.
type originalRequest struct {
	method string
	target string   // path and query, as the client wrote them
	path   []string // as [policy.ReadPath] reads it
	host   string   // "" if unknown
	scheme string
	header http.Header // the client's, as far as the proxy passes it on
}

// Headers in which a proxy describes the original request. The families are never mixed: a proxy
// that sets one of them passes the client's own headers of the other one.
const (
	headerForwardedMethod = "X-Forwarded-Method"
	headerForwardedURI    = "X-Forwarded-Uri"
	headerForwardedHost   = "X-Forwarded-Host"
	headerForwardedProto  = "X-Forwarded-Proto"
	headerOriginalMethod  = "X-Original-Method"
	headerOriginalURI     = "X-Original-Uri"
)

// readForwarded reads the original request from headers.
func readForwarded(r *http.Request) (originalRequest, error) {
	given := map[string]string{}
	for _, name := range []string{headerForwardedMethod, headerForwardedURI, headerForwardedHost, headerOriginalMethod, headerOriginalURI} {
		values := r.Header[name]
		if len(values) > 1 {
			return originalRequest{}, badRequest(name + " must be given once.")
		}
		if len(values) == 1 {
			given[name] = values[0]
		}
	}
	for _, pair := range [][2]string{{headerForwardedMethod, headerOriginalMethod}, {headerForwardedURI, headerOriginalURI}} {
		forwarded, both := given[pair[0]]
		if original, ok := given[pair[1]]; ok && both && forwarded != original {
			return originalRequest{}, badRequest(pair[0] + " and " + pair[1] + " disagree: let the proxy remove the one that it doesn't set.")
		}
	}
	host := r.Host
	if forwarded, ok := given[headerForwardedHost]; ok {
		host = forwarded
	}
	for _, family := range [][2]string{{headerForwardedMethod, headerForwardedURI}, {headerOriginalMethod, headerOriginalURI}} {
		method, hasMethod := given[family[0]]
		target, hasTarget := given[family[1]]
		if hasMethod && hasTarget {
			return newOriginalRequest(r, method, target, host)
		}
	}
	return originalRequest{}, badRequest("The proxy must describe the original request in X-Forwarded-Method and X-Forwarded-Uri, or in X-Original-Method and X-Original-URI.")
}

// readExtAuthz reads the original request from the asking request itself.
func readExtAuthz(r *http.Request) (originalRequest, error) {
	return newOriginalRequest(r, r.Method, strings.TrimPrefix(r.RequestURI, extAuthz), r.Host)
}

// hostForm matches a host with or without a port.
var hostForm = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// newOriginalRequest returns the request about which a proxy asks. It refuses one that a service
// behind the proxy might read in another way.
func newOriginalRequest(r *http.Request, method, target, host string) (originalRequest, error) {
	if !policy.IsMethod(method) {
		return originalRequest{}, badRequest("The original method isn't one: it must be capitals and dashes.")
	}
	if host != "" && !hostForm.MatchString(host) {
		return originalRequest{}, badRequest("The original host isn't one host.")
	}
	written, query, _ := strings.Cut(target, "?")
	path, err := policy.ReadPath(written)
	if err != nil {
		return originalRequest{}, badRequest("The original request is refused: " + err.Error() + ".")
	}
	q := originalRequest{method: method, target: target, path: path, host: host, scheme: "https", header: r.Header}
	if proto := r.Header[headerForwardedProto]; len(proto) == 1 && proto[0] == "http" {
		q.scheme = "http"
	}
	if name := q.override(query); name != "" {
		return originalRequest{}, badRequest("The original request is refused: " + name + " names another method.")
	}
	return q, nil
}

// override returns the header or parameter by which the request names another method than its own,
// or "". Some frameworks obey it. PHP also takes other characters for a parameter's underscore,
// and ends its name at a NUL.
func (q originalRequest) override(query string) string {
	for name, values := range q.header {
		if name[0]|0x20 != 'x' {
			continue // quicker
		}
		switch dashed(name) {
		case "x-http-method-override", "x-method-override", "x-http-method":
			for _, value := range values {
				if !strings.EqualFold(strings.TrimSpace(value), q.method) {
					return name
				}
			}
		}
	}
	for pair := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == '&' || c == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		name, _, _ = strings.Cut(name, "%00")
		name = strings.NewReplacer(".", "_", " ", "_", "[", "_").Replace(strings.TrimLeft(decoded(name), " "))
		if strings.EqualFold(name, "_method") && !strings.EqualFold(decoded(value), q.method) {
			return "the parameter _method"
		}
	}
	return ""
}

// decoded decodes a part of a query, or returns it as it is if it is badly encoded.
func decoded(part string) string {
	if text, err := url.QueryUnescape(part); err == nil {
		return text
	}
	return part
}

// dashed returns a header's name in lower case and with dashes. A service behind CGI or WSGI can't
// tell dashes from underscores.
func dashed(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// workspaceHeader returns the workspace that a header names. It refuses a request that also has a
// header whose name differs by underscores.
func (q originalRequest) workspaceHeader(header string) (string, error) {
	alike := 0
	for name, values := range q.header {
		if dashed(name) == dashed(header) {
			alike += len(values)
		}
	}
	named := q.header.Get(header)
	if alike != 1 || named == "" || strings.ContainsAny(named, ", ") {
		return "", badRequest(header + " must name one workspace, once.")
	}
	return named, nil
}

// mayChange reports whether the request may change something, so that its sender must be known to
// be a page of the application. A web socket begins with a GET, and then takes anything. By HTTP/2,
// it has a version and no key.
func (q originalRequest) mayChange() bool {
	return q.method != http.MethodGet && q.method != http.MethodHead || len(q.header["Sec-Websocket-Key"]) > 0 || len(q.header["Sec-Websocket-Version"]) > 0
}

// navigates reports whether a browser shows the answer as a page.
func (q originalRequest) navigates() bool {
	if q.method != http.MethodGet {
		return false
	}
	for _, accept := range q.header["Accept"] {
		for kind := range strings.SplitSeq(accept, ",") {
			kind, _, _ = strings.Cut(kind, ";")
			if strings.EqualFold(strings.TrimSpace(kind), "text/html") {
				return true
			}
		}
	}
	return false
}

package tracing

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Settings say where spans are sent, and which requests have any. They come from OpenTelemetry's
// own variables of the environment.
type Settings struct {
	Endpoint string // the URL that takes spans; "" if tracing is off
	Why      string // why tracing is off, for operators; "" if it is on
	Service  string // the service's name
	Sampler  string // with its argument
}

// On reports whether spans are made.
func (s Settings) On() bool { return s.Endpoint != "" }

// String says what is in force.
func (s Settings) String() string {
	if !s.On() {
		return "off: " + s.Why
	}
	return fmt.Sprintf("sent to %s as %s, sampler %s", s.Endpoint, s.Service, s.Sampler)
}

// variables are those variables of OpenTelemetry that [Read] reads or judges. The SDK itself reads
// the rest, such as OTEL_EXPORTER_OTLP_HEADERS and OTEL_BSP_SCHEDULE_DELAY.
const (
	varDisabled        = "OTEL_SDK_DISABLED"
	varExporter        = "OTEL_TRACES_EXPORTER"
	varEndpoint        = "OTEL_EXPORTER_OTLP_ENDPOINT"
	varTracesEndpoint  = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	varProtocol        = "OTEL_EXPORTER_OTLP_PROTOCOL"
	varTracesProtocol  = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	varHeaders         = "OTEL_EXPORTER_OTLP_HEADERS"
	varTracesHeaders   = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
	varService         = "OTEL_SERVICE_NAME"
	varSampler         = "OTEL_TRACES_SAMPLER"
	varSamplerArgument = "OTEL_TRACES_SAMPLER_ARG"
)

// Read reads the settings from the environment by getenv, such as [os.Getenv]. A wrong value turns
// tracing off, and never keeps a service from starting: warnings name it, and its cure. No warning
// has the value, which may hold a secret.
func Read(getenv func(string) string) (s Settings, warnings []string) {
	get := func(name string) string { return strings.TrimSpace(getenv(name)) }
	s = Settings{Service: firstOf(get(varService), "rolecall"), Sampler: firstOf(strings.ToLower(get(varSampler)), "parentbased_always_on")}
	if get(varTracesEndpoint) == "" && get(varEndpoint) == "" {
		s.Why = "no collector is set: set " + varEndpoint
		return s, nil
	}
	if strings.EqualFold(get(varDisabled), "true") {
		s.Why = varDisabled + " is true"
		return s, nil
	}
	if exporter := get(varExporter); exporter == "none" {
		s.Why = varExporter + " is none"
		return s, nil
	}
	endpoint, fault := endpointOf(get)
	for _, judge := range []func(func(string) string) string{func(func(string) string) string { return fault }, exporterFault, protocolFault} {
		if fault := judge(get); fault != "" {
			s.Why = fault
			return s, []string{fault + ". Until then, no traces are sent"}
		}
	}
	s.Endpoint = endpoint
	s.Sampler, fault = samplerOf(s.Sampler, get(varSamplerArgument))
	if fault != "" {
		warnings = append(warnings, fault)
	}
	for _, name := range []string{varHeaders, varTracesHeaders} {
		if !areHeaders(get(name)) {
			warnings = append(warnings, name+" isn't a list such as name=value,name=value: the collector may refuse the spans")
		}
	}
	return s, warnings
}

func firstOf(value, otherwise string) string {
	if value != "" {
		return value
	}
	return otherwise
}

// endpointOf returns the URL that takes spans. That of traces alone is taken as it is; to that of
// all signals, the path of traces is added.
func endpointOf(get func(string) string) (endpoint, fault string) {
	name, suffix := varTracesEndpoint, ""
	if get(name) == "" {
		name, suffix = varEndpoint, "v1/traces"
	}
	u, err := url.Parse(get(name))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return "", name + " is not an address: write one such as http://localhost:4318, without a query"
	}
	if u.User != nil {
		return "", name + " has a user or a password: write those into " + varHeaders
	}
	u.Path = path.Join("/", u.Path, suffix)
	return u.String(), ""
}

func exporterFault(get func(string) string) string {
	if exporter := get(varExporter); exporter != "" && exporter != "otlp" {
		return varExporter + " names an exporter that Rolecall doesn't have: write otlp or none"
	}
	return ""
}

func protocolFault(get func(string) string) string {
	name := varTracesProtocol
	if get(name) == "" {
		name = varProtocol
	}
	if protocol := get(name); protocol != "" && protocol != "http/protobuf" {
		return name + " is not http/protobuf, the only protocol that Rolecall speaks: write that, and the collector's address for it (mostly with the port 4318)"
	}
	return ""
}

// samplerOf returns a sampler with its argument, as it is in force. For a wrong one, the SDK takes
// the default.
func samplerOf(sampler, argument string) (inForce, fault string) {
	switch {
	case !slices.Contains([]string{
		"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
	}, sampler):
		return "parentbased_always_on", varSampler + " names no sampler that Rolecall has: every request is traced. Write one such as parentbased_traceidratio"
	case !strings.HasSuffix(sampler, "ratio"):
		return sampler, ""
	case argument == "":
		return sampler + " 1", ""
	}
	if share, err := strconv.ParseFloat(argument, 64); err != nil || !(share >= 0 && share <= 1) {
		return sampler + " 1", varSamplerArgument + " is no share from 0 to 1: every request is traced. Write one such as 0.01"
	}
	return fmt.Sprintf("%s %s", sampler, argument), ""
}

// areHeaders reports whether a text is a list of names and values, or empty.
func areHeaders(text string) bool {
	for pair := range strings.SplitSeq(text, ",") {
		if name, _, ok := strings.Cut(pair, "="); text != "" && (!ok || strings.TrimSpace(name) == "") {
			return false
		}
	}
	return true
}

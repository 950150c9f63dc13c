// Command manifests holds the files of deploy/ against what reads them: the Kubernetes manifests
// and the alerts against the types of Kubernetes and of the operator of Prometheus, and the Compose
// file against Compose's own loader. It is a module of its own, so that go.mod doesn't have theirs.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	kustomize "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

func main() {
	err := errors.Join(
		kubernetes("deploy/kubernetes"), rules("deploy/prometheus/rolecall.rules.yaml"), compose("deploy/compose.yaml", "deploy/compose.env.example"),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// kinds are the types of the manifests by their version and kind.
func kinds() map[metav1.TypeMeta]func() any {
	return map[metav1.TypeMeta]func() any{
		{APIVersion: "v1", Kind: "ConfigMap"}:                               func() any { return new(corev1.ConfigMap) },
		{APIVersion: "v1", Kind: "Secret"}:                                  func() any { return new(corev1.Secret) },
		{APIVersion: "v1", Kind: "Service"}:                                 func() any { return new(corev1.Service) },
		{APIVersion: "apps/v1", Kind: "Deployment"}:                         func() any { return new(appsv1.Deployment) },
		{APIVersion: "batch/v1", Kind: "Job"}:                               func() any { return new(batchv1.Job) },
		{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}:              func() any { return new(policyv1.PodDisruptionBudget) },
		{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"}:               func() any { return new(networkingv1.Ingress) },
		{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}:         func() any { return new(networkingv1.NetworkPolicy) },
		{APIVersion: kustomize.KustomizationVersion, Kind: "Kustomization"}: func() any { return new(kustomize.Kustomization) },
		{APIVersion: "monitoring.coreos.com/v1", Kind: "PodMonitor"}:        func() any { return new(monitoringv1.PodMonitor) },
		{APIVersion: "monitoring.coreos.com/v1", Kind: "PrometheusRule"}:    func() any { return new(monitoringv1.PrometheusRule) },
	}
}

// rules decodes the alerts as docs/deploy.md makes an object of the operator of them.
func rules(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	object := "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: rolecall}\nspec:\n"
	for line := range strings.Lines(string(text)) {
		object += "  " + line
	}
	if err := decode([]byte(object)); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// kubernetes decodes each manifest of a folder into its type. An unknown field, a field that is
// there twice and a value of another type are errors.
func kubernetes(folder string) (errs error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no manifest in %s: %w", folder, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		reader := yamlutil.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
		for {
			document, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = decode(document)
			}
			if err != nil {
				errs = errors.Join(errs, fmt.Errorf("%s: %w", file, err))
			}
		}
	}
	return errs
}

func decode(document []byte) error {
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(document, &meta); err != nil {
		return err
	}
	object, ok := kinds()[meta]
	if !ok {
		return fmt.Errorf("%s %s: this check doesn't know the kind", meta.APIVersion, meta.Kind)
	}
	return yaml.UnmarshalStrict(document, object())
}

// compose loads the file with the example's variables, and checks it against the specification. A
// variable without a value is an error.
func compose(file, variables string) error {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnvFiles(variables), cli.WithDotEnv, cli.WithResolvedPaths(true))
	if err != nil {
		return err
	}
	if _, err := options.LoadProject(context.Background()); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

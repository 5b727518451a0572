package main

import (
	"slices"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
)

func newCRD() *cobra.Command {
	var path string
	var approval bool
	cmd := &cobra.Command{
		Use:   "crd",
		Short: "Print what a cluster needs before the gateway can serve",
		Long: `Prints the gateway's Namespace and the CustomResourceDefinition of
RemediationRequest as YAML, for kubectl. "gateway serve" never installs them and
says what is missing; "gateway dev" installs them by itself.

With --approval-policy it prints also the ValidatingAdmissionPolicy, and its
binding, by which the API server refuses forged approvals (Kubernetes 1.30 and
later).`,
		Example: `  gateway crd | kubectl apply -f -
  gateway crd --approval-policy | kubectl apply -f -
  gateway crd --config gateway.yaml | kubectl apply -f -   # with the namespace of the file`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := config.Default()
			if path != "" {
				var err error
				if c, err = loadConfig(path); err != nil {
					return err
				}
			}
			manifests := app.Manifests(c.Namespace)
			if approval {
				manifests = slices.Concat(manifests, []byte("---\n"), app.ApprovalPolicy())
			}
			_, err := cmd.OutOrStdout().Write(manifests)
			return err
		},
	}
	cmd.Flags().BoolVar(&approval, "approval-policy", false, "print also what keeps approvals from being forged")
	cmd.Flags().StringVar(&path, "config", "", "configuration `FILE` that names the namespace")
	return cmd
}

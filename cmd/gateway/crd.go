package main

import (
	"github.com/spf13/cobra"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
)

func newCRD() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "crd",
		Short: "Print what a cluster needs before the gateway can serve",
		Long: `Prints the gateway's Namespace and the CustomResourceDefinition of
RemediationRequest as YAML, for kubectl. "gateway serve" never installs them and
says what is missing; "gateway dev" installs them by itself.`,
		Example: `  gateway crd | kubectl apply -f -
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
			_, err := cmd.OutOrStdout().Write(app.Manifests(c.Namespace))
			return err
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration `FILE` that names the namespace")
	return cmd
}

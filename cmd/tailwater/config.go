package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tailwater/internal/config"
)

// newConfigCommand returns the verbs about the configuration's own form.
func newConfigCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Show what a configuration may be",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(&cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema (draft-07) of the configuration, for editors",
		Long: `Print the JSON schema (draft-07) of the configuration. Editors that use
yaml-language-server read it from a first line such as

  # yaml-language-server: $schema=tailwater.schema.json`,
		Example: "  tailwater config schema > tailwater.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if _, err := c.OutOrStdout().Write(config.Schema()); err != nil {
				return fmt.Errorf("print schema: %w", err)
			}
			return nil
		},
	})
	return c
}

package main

import "github.com/spf13/cobra"

func (a *app) benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure servers and stores, with answers that are known",
		Args:  knownCommand,
		RunE:  help,
	}
	cmd.AddCommand(
		a.benchCheckCommand(),
		a.benchWireCommand(),
		a.benchStartCommand(),
		a.benchEngineCommand(),
		a.benchSizeCommand(), a.benchPauseCommand(),
		a.benchBoundedCommand(),
		a.benchConsistencyCommand(),
		a.benchWriteCommand(),
		a.benchLagCommand(),
		a.benchOAuthCommand(),
		a.benchIdentityCommand(),
		a.benchTimingCommand(),
		a.benchWorkloadCommand(),
		a.benchPlotCommand(),
	)
	return cmd
}

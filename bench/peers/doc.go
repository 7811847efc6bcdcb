// Peers compares Cardea with other permission engines, each on PostgreSQL, in one
// run on one machine.
//
//	cd bench/peers && go run . --tuples 97000 --concurrency 16 --duration 20s
//
// Each engine is a process of its own, with the settings that its makers recommend
// for production (engines.go states them, and so does the output). One after the
// other they get the same tuples of the Drive workload, under the same model in
// their own language, exclusion included, and the same questions over gRPC. Every
// answer is compared with the one that the workload knows; a wrong one or an error
// fails the run.
//
// What counts is the processor time of a check, that of the server and that of all
// processes of PostgreSQL, because it says what a deployment costs and depends
// little on what else runs on the machine. Rates and latencies are there too, and
// do depend on it.
//
// SpiceDB and OpenFGA are built from the modules in tools/, at the versions that
// their go.mod pins. Keto is no module that can be had; --keto names its program.
// The package is a module of its own, so that nothing of it enters Cardea's.
package main

// Package bench measures Cardea: it makes workloads of any size from a seed, loads
// them into a server or an engine, and asks questions whose answers it knows.
//
// A workload knows the answers by construction, and keeps nothing in memory
// (workload.go), so a server that is fast and wrong fails the run. A run asks in a
// closed loop or in an open one (load.go, open.go). What it measured is a Result
// (results.go), with what is promised beside it, which is printed, saved in results/
// and drawn (plot.go).
//
// What can be counted is guarded by tests (guards_test.go). What takes time depends on
// the machine; docs/performance.md says how it is measured and what came out.
package bench

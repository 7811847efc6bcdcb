// Package bench measures Cardea: it makes workloads of any size from a seed,
// loads them into a server, and asks questions whose answers it knows.
//
// A workload knows the answers by itself (drive.go walks its own folders and
// groups), so a server that is fast and wrong fails the run. Latencies go into
// HDR histograms; what a run prints depends on the machine, so compare only
// numbers of one run.
package bench

// Package cluster tests what must hold when several nodes share one database:
// each node is an engine with connections of its own, as servers have them. What
// clients did and saw is recorded and checked for a serial order that explains
// it; databases are killed and paused meanwhile.
package cluster

// Package arch holds no code: its test is the map of the house. It says for
// every package which of ours it may import and which modules from outside, and
// reads all sources to see that nothing else is imported.
package arch

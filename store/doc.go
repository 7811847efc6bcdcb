// Package store opens the database that a data source name (DSN) names. The
// backends lie in the folders below it, and storetest holds the tests that all
// of them pass.
package store

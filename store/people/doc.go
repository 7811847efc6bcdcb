// Package people keeps identities in a database: it is identity.Store, written once in
// the SQL that all databases have in common (package script).
//
// Whatever must be unique in a network (identifiers of credentials, addresses, external
// ids) stands in the table identity_name, whose key decides. Lists that belong to one
// row (addresses, methods, devices) are JSON in it, and so is what a credential is made
// of: they are read and written together.
package people

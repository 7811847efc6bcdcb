package oauth

import "golang.org/x/crypto/argon2"

// slowHash is argon2id with the second of the parameters that RFC 9106 recommends, a
// third of its memory: 19 MiB and two passes (OWASP). hashing bounds how many run at
// the same time.
func slowHash(secret string, salt []byte) []byte {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return argon2.IDKey([]byte(secret), salt, 2, 19<<10, 1, 32)
}

// hashing has a place for each hash that may be computed at the same time, so that
// guesses at secrets take no more than 76 MiB.
var hashing = make(chan struct{}, 4)

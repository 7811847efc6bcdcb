// Package testcert makes certificates for tests.
package testcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// A Pair is a certificate with its key.
type Pair struct {
	*x509.Certificate
	Key *ecdsa.PrivateKey
}

// Sign returns a certificate like c for a new key, good from an hour ago until tomorrow. It
// is signed by itself if by is nil.
func Sign(t testing.TB, by *Pair, c x509.Certificate) *Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(now.UnixNano()), now.Add(-time.Hour), now.Add(24*time.Hour)
	if by == nil {
		by = &Pair{&c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, by.Certificate, &key.PublicKey, by.Key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Pair{made, key}
}

// Authority returns one that signs others, and is signed by by, or by itself if that is nil.
func Authority(t testing.TB, by *Pair, name string) *Pair {
	t.Helper()
	return Sign(t, by, x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
}

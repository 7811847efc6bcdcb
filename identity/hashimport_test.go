package identity

import (
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/internal/errs"
)

// TestImportedHashes checks hashes that other programs made: libcrypt, hashlib, the
// command argon2, and Firebase.
func TestImportedHashes(t *testing.T) {
	h := newHasher(HashOptions{Memory: 64, Iterations: 1})
	check := func(hash, password string) {
		t.Helper()
		if err := checkHash(hash); err != nil {
			t.Errorf("%s: %v", hash, err)
			return
		}
		for text, want := range map[string]bool{password: true, password + "x": false, "": false} {
			ok, old, err := h.verify(t.Context(), hash, text)
			if err != nil || ok != want || !old {
				t.Errorf("%s: %q: %t, old %t, %v", hash, text, ok, old, err)
			}
		}
	}
	for _, hash := range []string{
		`$1$saltsalt$82D31YaoF0HAqUoyq1lvJ0`,
		`$apr1$saltsalt$BMqiXH/JZAH0Yxu6zaBqo1`,
		`$5$saltstring$Cv9ECf8nQG6rIc0Ba.YsCnhEjMYmbsoZSnYpGQ9kdmA`,
		`$5$rounds=1234$anothersalt$EjUsOcut8Aakh6QIB12/x8Kudl13cQkrsC8l4OO/4d5`,
		`$6$saltstring$NAN5tld4dAWHvJosC3VF7.i3Sk6KmLQlpIkNQVtT/JHKq0Yuy4aRFSCK1hCGU3m2raxfEIXeCGKhMbGcDQmxw/`,
		`$6$rounds=1000$roundstoolow$5rReEQoFK.rf90mb4tzD3OuHPuiez69ho.ysW1EYCm/3GCvg9xjDSB13mhIwI2cB5sbmlnTcyv1ZoWvCUu/ZS0`,
		`$2b$04$abcdefghijklmnopqrstuuHgorO0p1Ds6WjZxc7o3RvlQQtyXsxce`,
		`$2y$05$abcdefghijklmnopqrstuuZE8RyY2hXBcU91xHan.gFlAEsNhA95y`,
		`$scrypt$ln=1024,r=8,p=1$c2FsdHNhbHRzYWx0$W4f9VZYYIyalTWNR02xWewYQ0J5a8UUKwNId5+TSggg=`,
		`$scrypt$ln=10,r=8,p=1$c2FsdHNhbHRzYWx0$W4f9VZYYIyalTWNR02xWewYQ0J5a8UUKwNId5+TSggg`,
		`$pbkdf2-sha1$i=1000,l=32$c2FsdHNhbHRzYWx0$sMZKJfGtaIN1exu14gENedIf9NCPb5qGWE2tnr/pRqw`,
		`$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0$UZYh4/yCIGA1FQjqKsbBU5Z5WCu3MK0xipQNB32IZlc`,
		`$pbkdf2-sha512$i=1000,l=32$c2FsdHNhbHRzYWx0$p2Ru7Dqqpz9qtiu3QX4xoAMjZ5ZR4MNiBv56GPYVNSk`,
		`$md5$Tjhu9WvJOT/IaR1jaBIUKA==`,
		`$md5$pf=e1NBTFR9LntQQVNTV09SRH0=$c2FsdHNhbHRzYWx0$uU5rB0IDRTzXmRKWbAMrEA==`,
		`$sha1$pf=e1NBTFR9LntQQVNTV09SRH0=$c2FsdHNhbHRzYWx0$FwoOoOrKoAyF0A50rH8rVi+hMHE=`,
		`$sha256$pf=e1NBTFR9LntQQVNTV09SRH0=$c2FsdHNhbHRzYWx0$9B7Ng6h4MAubqyjwjgmJXK01DE3H6pAbbmukCUliHR4=`,
		`$sha512$pf=e1NBTFR9LntQQVNTV09SRH0=$c2FsdHNhbHRzYWx0$BvF1wi6kLO9W9j0Tq1SqCEEq4TV5yy/74OLHtDAq8hrJW6uIjNGILrODHcto7S4+GP/qc872qrQw1Wute2EWyg==`,
		`{MD5}Tjhu9WvJOT/IaR1jaBIUKA==`,
		`{SMD5}dCjfPKGdX9AUnTdPbhxS5XNhbHRzYWx0c2FsdA==`,
		`{SHA}HCshEghdYjvLkGS+WpTcuSxoALs=`,
		`{SSHA}n1Knt1xRNEnfmcnlduUE/d8wwj1zYWx0c2FsdHNhbHQ=`,
		`{SHA256}6Hc+vkQRh1/k+7454wWZLBXjawd+nCG5eR5y9BNtWmY=`,
		`{SSHA256}Tn7GUCttNWv5qMEKSKbgopOuBTR8ASGsp+sGpxRPtoJzYWx0c2FsdHNhbHQ=`,
		`{SHA512}QgrDiJNPpVDNVJnzKCFbOOtj6Izdn9xtiz8+aDpuxW2XLeiZo8gdlPQCavrwz0YXNjoaNE5TPw9rWxKyfn5/fA==`,
		`{SSHA512}IzxrcGRAFT8Sq6zhAAEN6vXXIJZ4znPegM29wxM8zzPXCtYSlhonCSH+iBRYD30/l0tI1+XxfNhBWRJAwyGGu3NhbHRzYWx0c2FsdA==`,
		`{CRYPT}$6$saltstring$NAN5tld4dAWHvJosC3VF7.i3Sk6KmLQlpIkNQVtT/JHKq0Yuy4aRFSCK1hCGU3m2raxfEIXeCGKhMbGcDQmxw/`,
		`$hmac-sha256$OTZiNzg1OTM4ZmRjYTk0NjZmNWQ2NzY4Y2QwYmNlNWFjN2U4MzZjMWUyN2VhZGI0OTc5MWVmYmUzNmRmNzY4ZQ==$a2V5`,
		`$hmac-md5$6TcKB/2nAkvWzcAI0odgNA==$a2V5`,
	} {
		check(hash, "a stone wall of 7 colours")
	}
	check("$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG", "password")
	check("$firescrypt$ln=14,r=8,p=1$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==$Bw==$"+
		"jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==", "user1password")
}

func TestHashesThatAreRefused(t *testing.T) {
	const salt, sum = "c2FsdHNhbHRzYWx0", "W4f9VZYYIyalTWNR02xWewYQ0J5a8UUKwNId5+TSggg"
	costly := "costs more"
	for hash, want := range map[string]string{
		"": "form", "plain": "form", "$": "form", "$$": "form", "$7$x$y": "form", "{": "form", "{X}": "form", "{SSHA}": "form", "{SHA}eHh4": "form", "{CRYPT}{CRYPT}x": "form",
		"{SSHA}HCshEghdYjvLkGS+WpTcuSxoALs=": "form", "{SHA}n1Knt1xRNEnfmcnlduUE/d8wwj1zYWx0c2FsdHNhbHQ=": "form",
		"$2b$15$abcdefghijklmnopqrstuuHgorO0p1Ds6WjZxc7o3RvlQQtyXsxce": costly,
		"$2b$31$abcdefghijklmnopqrstuuHgorO0p1Ds6WjZxc7o3RvlQQtyXsxce": costly,
		"$2b$04$short": "form",
		"$2x$04$abcdefghijklmnopqrstuuHgorO0p1Ds6WjZxc7o3RvlQQtyXsxce":        "form",
		"$scrypt$ln=4194304,r=8,p=1$" + salt + "$" + sum:                      costly,
		"$scrypt$ln=31,r=1,p=1$" + salt + "$" + sum:                           costly,
		"$scrypt$ln=1024,r=8,p=100$" + salt + "$" + sum:                       costly,
		"$scrypt$ln=1000,r=8,p=1$" + salt + "$" + sum:                         "form",
		"$scrypt$ln=-4,r=8,p=1$" + salt + "$" + sum:                           "form",
		"$scrypt$ln=1024,r=8,p=1$" + salt + "$":                               "form",
		"$scrypt$ln=9223372036854775807,r=8,p=1$" + salt + "$" + sum:          "form",
		"$pbkdf2-sha256$i=2000001,l=32$" + salt + "$" + sum:                   costly,
		"$pbkdf2-sha256$i=1000,l=1000000$" + salt + "$" + sum:                 "form",
		"$pbkdf2-sha3$i=1000,l=32$" + salt + "$" + sum:                        "form",
		"$pbkdf2-sha256$i=0,l=32$" + salt + "$" + sum:                         "form",
		"$5$rounds=500001$salt$x":                                             costly,
		"$5$rounds=99999999999999999999$salt$x":                               "form",
		"$5$saltsaltsaltsalts$x":                                              "form",
		"$1$saltsalts$x":                                                      "form",
		"$1$rounds=1000$salt$x":                                               "form",
		"$6$salt$":                                                            "form",
		"$argon2i$v=19$m=1048576,t=5,p=1$c2FsdHNhbHQ$c3Vtc3Vtc3Vtc3Vtc3VtIQ":  costly,
		"$argon2id$v=19$m=1048576,t=5,p=1$c2FsdHNhbHQ$c3Vtc3Vtc3Vtc3Vtc3VtIQ": costly,
		"$argon2d$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$c3Vtc3Vtc3Vtc3Vtc3VtIQ":       "form",
		"$hmac-sha256$eHh4$a2V5":                                              "form", "$hmac-none$eHh4$a2V5": "form",
		"$md5$eHh4": "form", "$md5$pf=e1NBTFR9$" + salt + "$Tjhu9WvJOT/IaR1jaBIUKA==": "form", "$md5$x$y$Tjhu9WvJOT/IaR1jaBIUKA==": "form",
		"$firescrypt$ln=14,r=8,p=1$" + salt + "$" + sum + "$Bw==$": "form",
		"$md5$" + strings.Repeat("A", maxHashText):                 "form",
	} {
		err := checkHash(hash)
		if errs.KindOf(err) != errs.Unsupported || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", hash, err, want)
		}
	}
}

func FuzzImportedHash(f *testing.F) {
	f.Add("$scrypt$ln=1024,r=8,p=1$c2FsdHNhbHRzYWx0$W4f9VZYYIyalTWNR02xWewYQ0J5a8UUKwNId5+TSggg=")
	f.Add("{SSHA}n1Knt1xRNEnfmcnlduUE/d8wwj1zYWx0c2FsdHNhbHQ=")
	f.Add("$5$rounds=1234$anothersalt$EjUsOcut8Aakh6QIB12/x8Kudl13cQkrsC8l4OO/4d5")
	f.Fuzz(func(t *testing.T, text string) {
		if err := checkHash(text); err != nil && errs.KindOf(err) != errs.Unsupported {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// TestEndlessPasswords: some kinds of hashes cost the square of a password's length, or
// thousands of times the length, and everybody may send one.
func TestEndlessPasswords(t *testing.T) {
	h := newHasher(HashOptions{Memory: 64, Iterations: 1})
	own, err := h.hash(t.Context(), strings.Repeat("x", maxPassword))
	if err != nil {
		t.Fatal(err)
	}
	for _, hash := range []string{own, `$1$saltsalt$82D31YaoF0HAqUoyq1lvJ0`, `$5$rounds=1234$anothersalt$EjUsOcut8Aakh6QIB12/x8Kudl13cQkrsC8l4OO/4d5`,
		`$6$saltstring$NAN5tld4dAWHvJosC3VF7.i3Sk6KmLQlpIkNQVtT/JHKq0Yuy4aRFSCK1hCGU3m2raxfEIXeCGKhMbGcDQmxw/`} {
		if ok, old, err := h.verify(t.Context(), hash, strings.Repeat("x", 4<<20)); ok || old || err != nil {
			t.Errorf("%s: %t, old %t, %v", hash, ok, old, err)
		}
	}
	if ok, _, err := h.verify(t.Context(), own, strings.Repeat("x", maxPassword)); !ok || err != nil {
		t.Errorf("the longest password: %t, %v", ok, err)
	}
}

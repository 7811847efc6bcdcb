package identity

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strconv"
	"strings"
)

// The hashes of passwd files: md5-crypt ($1$, $apr1$), sha256-crypt ($5$) and sha512-crypt ($6$),
// as Poul-Henning Kamp and Ulrich Drepper describe them.

const cryptRounds = 5000 // if nothing else is said

const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Each three bytes of a sum are written as four letters, in these orders.
var (
	md5Order    = []int{0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 4, 10, 5}
	sha256Order = []int{0, 10, 20, 21, 1, 11, 12, 22, 2, 3, 13, 23, 24, 4, 14, 15, 25, 5, 6, 16, 26, 27, 7, 17, 18, 28, 8, 9, 19, 29}
	sha512Order = []int{0, 21, 42, 22, 43, 1, 44, 2, 23, 3, 24, 45, 25, 46, 4, 47, 5, 26, 6, 27, 48, 28, 49, 7, 50, 8, 29, 9, 30, 51,
		31, 52, 10, 53, 11, 32, 12, 33, 54, 34, 55, 13, 56, 14, 35, 15, 36, 57, 37, 58, 16, 59, 17, 38, 18, 39, 60, 40, 61, 19, 62, 20, 41}
)

// cryptLetters writes the low bits of w as n letters, the lowest first.
func cryptLetters(b *strings.Builder, w uint32, n int) {
	for range n {
		b.WriteByte(cryptAlphabet[w&63])
		w >>= 6
	}
}

func cryptGroups(b *strings.Builder, sum []byte, order []int) {
	for i := 0; i < len(order); i += 3 {
		cryptLetters(b, uint32(sum[order[i]])<<16|uint32(sum[order[i+1]])<<8|uint32(sum[order[i+2]]), 4)
	}
}

// sumOf hashes parts, one after the other.
func sumOf(h func() hash.Hash, parts ...[]byte) []byte {
	d := h()
	for _, p := range parts {
		d.Write(p)
	}
	return d.Sum(nil)
}

// stretch repeats b up to n bytes.
func stretch(b []byte, n int) []byte {
	out := make([]byte, 0, n)
	for len(out) < n {
		out = append(out, b[:min(len(b), n-len(out))]...)
	}
	return out
}

// churn hashes the sum again and again with what follows from password and salt.
func churn(h func() hash.Hash, sum, password, salt []byte, rounds int) []byte {
	d := h()
	for i := range rounds {
		d.Reset()
		first, last := sum, password
		if i&1 != 0 {
			first, last = password, sum
		}
		d.Write(first)
		if i%3 != 0 {
			d.Write(salt)
		}
		if i%7 != 0 {
			d.Write(password)
		}
		d.Write(last)
		sum = d.Sum(nil)
	}
	return sum
}

// md5Crypt returns the last part of a $1$ hash, or of Apache's $apr1$, which differs in
// its id only.
func md5Crypt(id string, password, salt []byte) string {
	alternate := sumOf(md5.New, password, salt, password)
	d := md5.New()
	d.Write(password)
	d.Write([]byte("$" + id + "$"))
	d.Write(salt)
	d.Write(stretch(alternate, len(password)))
	for i := len(password); i > 0; i >>= 1 {
		if i&1 != 0 {
			d.Write([]byte{0})
		} else {
			d.Write(password[:1])
		}
	}
	sum := churn(md5.New, d.Sum(nil), password, salt, 1000)
	var b strings.Builder
	cryptGroups(&b, sum, md5Order)
	cryptLetters(&b, uint32(sum[11]), 2)
	return b.String()
}

// shaCrypt returns the last part of a $5$ hash or, if long, of a $6$ hash.
func shaCrypt(long bool, password, salt []byte, rounds int) string {
	h := sha256.New
	if long {
		h = sha512.New
	}
	alternate := sumOf(h, password, salt, password)
	d := h()
	d.Write(password)
	d.Write(salt)
	d.Write(stretch(alternate, len(password)))
	for i := len(password); i > 0; i >>= 1 {
		if i&1 != 0 {
			d.Write(alternate)
		} else {
			d.Write(password)
		}
	}
	sum := d.Sum(nil)
	d.Reset()
	for range len(password) {
		d.Write(password)
	}
	p := stretch(d.Sum(nil), len(password))
	d.Reset()
	for range 16 + int(sum[0]) {
		d.Write(salt)
	}
	s := stretch(d.Sum(nil), len(salt))
	sum = churn(h, sum, p, s, rounds)
	var b strings.Builder
	if long {
		cryptGroups(&b, sum, sha512Order)
		cryptLetters(&b, uint32(sum[63]), 2)
	} else {
		cryptGroups(&b, sum, sha256Order)
		cryptLetters(&b, uint32(sum[31])<<8|uint32(sum[30]), 3)
	}
	return b.String()
}

// parseCrypt reads what is behind the id of such a hash: rounds, salt and sum.
func parseCrypt(parts []string) (rounds int, salt []byte, sum string, ok bool) {
	rounds = cryptRounds
	if len(parts) == 3 {
		text, given := strings.CutPrefix(parts[0], "rounds=")
		n, err := strconv.Atoi(text)
		if !given || err != nil {
			return 0, nil, "", false
		}
		rounds, parts = max(n, 1000), parts[1:]
	}
	if len(parts) != 2 || len(parts[0]) > 16 || parts[0] == "" || parts[1] == "" {
		return 0, nil, "", false
	}
	return rounds, []byte(parts[0]), parts[1], true
}

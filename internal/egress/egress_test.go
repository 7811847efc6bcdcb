package egress

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700::1111": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "::": false,
		"10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "fc00::1": false, "::ffff:10.0.0.1": false,
		"169.254.169.254": false, "fe80::1%eth0": false, "fec0::1": false,
		"100.64.0.1": false, "192.0.0.8": false, "198.18.0.1": false, "203.0.113.9": false, "240.0.0.1": false, "255.255.255.255": false,
		"224.0.0.1": false, "ff02::1": false, "2001:db8::1": false,
		"64:ff9b::a00:1": false, "64:ff9b:1::1": false, "2002:a00:1::1": false, "2001:0:1::1": false, "100::1": false,
	} {
		if got := Public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// TestClient: loopback is reached only if private addresses are allowed, directly and by
// a redirect, and redirects are counted.
func TestClient(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if left := strings.TrimPrefix(r.URL.Path, "/"); left != "" {
			http.Redirect(w, r, "/"+left[1:], http.StatusFound)
			return
		}
		_, _ = w.Write(make([]byte, len(r.URL.RawQuery)*(maxBody/4)+1))
	}))
	t.Cleanup(s.Close)
	if _, err := Client(false, 3).Get(s.URL); err == nil || !strings.Contains(err.Error(), "not a public address") {
		t.Errorf("a private address: %v", err)
	}
	for path, want := range map[string]bool{"/": true, "/xxx": true, "/xxxx": false} {
		resp, err := Client(true, 3).Get(s.URL + path)
		if (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	resp, err := Client(true, 0).Get(s.URL + "/x")
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Errorf("without redirects: %v, %v", resp, err)
	}
	for query, want := range map[string]error{"": nil, "abc": nil, "abcd": ErrLarge} {
		resp, err := Client(true, 0).Get(s.URL + "/?" + query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Body(resp); !errors.Is(err, want) {
			t.Errorf("%q: %v", query, err)
		}
	}
}

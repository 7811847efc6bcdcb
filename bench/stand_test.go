package bench_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cardea-iam/cardea/internal/secret"
	"github.com/cardea-iam/cardea/store"
)

// A stand is a database, and two listeners for what is put on it.
type stand struct {
	*store.DB
	secrets           *secret.Keyring
	public, admin     *http.ServeMux
	publicAt, adminAt string // URLs
}

// standOn opens the database of dsn, for one connection.
func standOn(t testing.TB, dsn string) stand {
	t.Helper()
	db, err := store.Open(t.Context(), dsn, store.Options{Migrate: true, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s := stand{DB: db, public: http.NewServeMux(), admin: http.NewServeMux()}
	if s.secrets, err = secret.New("the secret of the tests"); err != nil {
		t.Fatal(err)
	}
	public, admin := httptest.NewServer(s.public), httptest.NewServer(s.admin)
	t.Cleanup(public.Close)
	t.Cleanup(admin.Close)
	s.publicAt, s.adminAt = public.URL, admin.URL
	return s
}

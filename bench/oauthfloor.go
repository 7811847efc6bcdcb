package bench

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// An OAuthFloor is the least that a server of tokens can do on a database: it knows one
// client and keeps one row for each token, in a table without indexes beside the key. It
// checks nothing else, and revokes nothing.
type OAuthFloor struct {
	http.ServeMux
	rows floorRows
	key  *rsa.PrivateKey
	mac  []byte // the key of secrets
	want []byte // the MAC of the client's
}

// floorRows is the table of an OAuthFloor.
type floorRows interface {
	put(ctx context.Context, hash []byte, expires int64, data []byte) error
	get(ctx context.Context, hash []byte) (data []byte, err error)
	close() error
}

// OpenOAuthFloor makes its table in the database of dsn. The caller closes it.
func OpenOAuthFloor(ctx context.Context, dsn string) (*OAuthFloor, error) {
	f := &OAuthFloor{mac: []byte(rand.Text())}
	f.want = f.sum(floorClient.Secret)
	var err error
	if f.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(dsn, "sqlite://"); ok {
		f.rows, err = openFloorSQLite(ctx, path)
	} else {
		f.rows, err = openFloorServer(ctx, dsn)
	}
	if err != nil {
		return nil, err
	}
	f.HandleFunc("GET /{$}", f.nothing)
	f.HandleFunc("POST /insert", f.insert)
	f.HandleFunc("POST /sign", f.sign)
	f.HandleFunc("POST /select", f.find)
	return f, nil
}

// Close leaves the table.
func (f *OAuthFloor) Close() error { return f.rows.close() }

func (f *OAuthFloor) nothing(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"keys":[]}`))
}

// authenticate reads the form of a request, and compares the MAC of a secret.
func (f *OAuthFloor) authenticate(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	id, secret, _ := r.BasicAuth()
	if secret, err := url.QueryUnescape(secret); err != nil || id != floorClient.ID || !hmac.Equal(f.sum(secret), f.want) {
		return errors.New("it is another client")
	}
	return nil
}

func (f *OAuthFloor) sum(secret string) []byte {
	h := hmac.New(sha256.New, f.mac)
	h.Write([]byte(secret))
	return h.Sum(nil)
}

// floorClient is the one client.
var floorClient = oauthClient{ID: "floor", Secret: "a secret of the floor, of some length"}

func (f *OAuthFloor) insert(w http.ResponseWriter, r *http.Request) {
	f.issue(w, r, func(hash []byte) (string, error) { return "", nil })
}

// sign signs a JWT beside the token.
func (f *OAuthFloor) sign(w http.ResponseWriter, r *http.Request) {
	f.issue(w, r, func(hash []byte) (string, error) {
		claims, err := json.Marshal(map[string]any{"sub": "ann", "exp": time.Now().Add(time.Hour).Unix(), "at_hash": hash})
		if err != nil {
			return "", err
		}
		b64 := base64.RawURLEncoding
		text := b64.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + b64.EncodeToString(claims)
		sum := sha256.Sum256([]byte(text))
		signature, err := rsa.SignPKCS1v15(nil, f.key, crypto.SHA256, sum[:])
		return text + "." + b64.EncodeToString(signature), err
	})
}

func (f *OAuthFloor) issue(w http.ResponseWriter, r *http.Request, signed func(hash []byte) (string, error)) {
	var random [32]byte
	rand.Read(random[:])
	t := oauthTokens{Access: base64.RawURLEncoding.EncodeToString(random[:])}
	hash := sha256.Sum256([]byte(t.Access))
	err := f.authenticate(r)
	if err == nil {
		t.ID, err = signed(hash[:])
	}
	if err == nil {
		err = f.rows.put(r.Context(), hash[:], time.Now().Add(time.Hour).Unix(), []byte(r.PostForm.Get("scope")))
	}
	floorAnswer(w, t, err)
}

func (f *OAuthFloor) find(w http.ResponseWriter, r *http.Request) {
	err := f.authenticate(r)
	var data []byte
	if err == nil {
		hash := sha256.Sum256([]byte(r.PostForm.Get("token")))
		data, err = f.rows.get(r.Context(), hash[:])
	}
	floorAnswer(w, map[string]any{"active": true, "client_id": floorClient.ID, "scope": string(data)}, err)
}

func floorAnswer(w http.ResponseWriter, body any, err error) {
	text, errText := json.Marshal(body)
	if err := errors.Join(err, errText); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

// OAuthFloorOps are what an OAuthFloor at a URL can do.
func OAuthFloorOps(at string, callers int) []HTTPOp {
	o := newOAuth("", "", callers)
	insert := url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}
	issue := func(path string) func(context.Context) error {
		return func(ctx context.Context) error {
			var t oauthTokens
			return o.post(ctx, at+path, floorClient, insert, &t)
		}
	}
	return []HTTPOp{
		{FloorNothing, always(func(ctx context.Context) error {
			return o.send(ctx, "GET", at+"/", nil, &map[string]any{})
		})},
		{FloorInsert, always(issue("/insert"))},
		{FloorSign, always(issue("/sign"))},
		{FloorSelect, func(ctx context.Context) (func(context.Context) error, error) {
			var t oauthTokens
			if err := o.post(ctx, at+"/insert", floorClient, insert, &t); err != nil {
				return nil, err
			}
			return func(ctx context.Context) error {
				return o.post(ctx, at+"/select", floorClient, url.Values{"token": {t.Access}}, &map[string]any{})
			}, nil
		}},
	}
}

// Names of what a floor does.
const (
	FloorNothing = "floor: no-op"
	FloorInsert  = "floor: one MAC and one INSERT"
	FloorSign    = "floor: one MAC, one RS256 and one INSERT"
	FloorSelect  = "floor: one MAC and one SELECT"
)

type floorSQLite struct {
	db       *sql.DB
	in, from *sql.Stmt
}

func openFloorSQLite(ctx context.Context, path string) (floorRows, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	params := url.Values{"_pragma": {"journal_mode(wal)", "synchronous(full)", "busy_timeout(10000)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", "file://"+(&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()+"?"+params.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer at a time
	f := floorSQLite{db: db}
	_, err = db.ExecContext(ctx, "CREATE TABLE token (hash BLOB PRIMARY KEY, expires INTEGER NOT NULL, data BLOB NOT NULL) WITHOUT ROWID")
	if err == nil {
		f.in, err = db.PrepareContext(ctx, "INSERT INTO token (hash, expires, data) VALUES (?, ?, ?)")
	}
	if err == nil {
		f.from, err = db.PrepareContext(ctx, "SELECT data FROM token WHERE hash = ?")
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return f, nil
}

func (f floorSQLite) put(ctx context.Context, hash []byte, expires int64, data []byte) error {
	_, err := f.in.ExecContext(ctx, hash, expires, data)
	return err
}

func (f floorSQLite) get(ctx context.Context, hash []byte) (data []byte, err error) {
	err = f.from.QueryRowContext(ctx, hash).Scan(&data)
	return data, err
}

func (f floorSQLite) close() error { return f.db.Close() }

type floorServer struct{ pool *pgxpool.Pool }

func openFloorServer(ctx context.Context, dsn string) (floorRows, error) {
	pool, err := pgxpool.New(ctx, serverDSN(dsn))
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{
		"DROP TABLE IF EXISTS cardea_bench_token",
		"CREATE TABLE cardea_bench_token (hash BYTEA PRIMARY KEY, expires BIGINT NOT NULL, data BYTEA NOT NULL)",
	} {
		if _, err := pool.Exec(ctx, statement); err != nil {
			pool.Close()
			return nil, err
		}
	}
	return floorServer{pool}, nil
}

func (f floorServer) put(ctx context.Context, hash []byte, expires int64, data []byte) error {
	_, err := f.pool.Exec(ctx, "INSERT INTO cardea_bench_token (hash, expires, data) VALUES ($1, $2, $3)", hash, expires, data)
	return err
}

func (f floorServer) get(ctx context.Context, hash []byte) (data []byte, err error) {
	err = f.pool.QueryRow(ctx, "SELECT data FROM cardea_bench_token WHERE hash = $1", hash).Scan(&data)
	return data, err
}

func (f floorServer) close() error {
	f.pool.Close()
	return nil
}

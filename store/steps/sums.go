package steps

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// table is where a database keeps the checksums of the steps that it took.
const table = "schema_step"

// sum is the checksum of a step; provider has read the same file.
func (s Schema) sum(name string) string {
	text, err := fs.ReadFile(s.Files, name)
	if err != nil {
		panic(err) // it is embedded
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func (s Schema) kept(ctx context.Context, db *sql.DB) (map[int64]string, error) {
	there, err := s.isTable(ctx, db, table)
	if err != nil || !there {
		return nil, err
	}
	return byVersion[string](ctx, db, "SELECT version, sum FROM "+table)
}

// keep writes the checksums of steps that are about to be taken: if they fail, the
// next attempt writes them anew.
func (s Schema) keep(ctx context.Context, db *sql.DB, list []Step) error {
	if len(list) == 0 {
		return nil
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+table+" (version BIGINT PRIMARY KEY, sum TEXT NOT NULL)"); err != nil {
		return err
	}
	var values []string
	for _, step := range list {
		values = append(values, fmt.Sprintf("(%d, '%s')", step.Version, s.sum(step.Name))) // numbers and hex
	}
	_, err := db.ExecContext(ctx, "INSERT INTO "+table+" (version, sum) VALUES "+strings.Join(values, ", ")+
		" ON CONFLICT (version) DO UPDATE SET sum = excluded.sum")
	return err
}

// other is the error of a database that took another text of a step, or keeps no
// checksum of it.
func (s Schema) other(version int64) error {
	return errs.New(errs.Refused, "step %d of the schema of %s is not the one of this build: the data was made by a development build. "+
		"Export it with that build, and import it into a new database", version, s.Where)
}

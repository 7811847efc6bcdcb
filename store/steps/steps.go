// Package steps keeps checksums of the steps of a database's schema.
//
// A step is never edited once a database may have taken it. Each database keeps a
// checksum of those that it took, so that one that took another text under the same
// number is refused rather than misread.
package steps

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Table is where they are kept.
const Table = "schema_step"

// Sum is the checksum of the text of a step.
func Sum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Kept reads the checksums that a database keeps. there says whether it has the table,
// which the caller's server knows how to find out.
func Kept(ctx context.Context, db *sql.DB, there bool) (map[int64]string, error) {
	kept := map[int64]string{}
	if !there {
		return kept, nil
	}
	rows, err := db.QueryContext(ctx, "SELECT version, sum FROM "+Table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var version int64
		var sum string
		if err := rows.Scan(&version, &sum); err != nil {
			return nil, err
		}
		kept[version] = sum
	}
	return kept, rows.Err()
}

// Keep writes the checksums of steps that are about to be taken: if they fail, the
// next attempt writes them anew.
func Keep(ctx context.Context, db *sql.DB, sums map[int64]string) error {
	if len(sums) == 0 {
		return nil
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+Table+" (version BIGINT PRIMARY KEY, sum TEXT NOT NULL)"); err != nil {
		return err
	}
	var values []string
	for version, sum := range sums {
		values = append(values, fmt.Sprintf("(%d, '%s')", version, sum)) // numbers and hex
	}
	_, err := db.ExecContext(ctx, "INSERT INTO "+Table+" (version, sum) VALUES "+strings.Join(values, ", ")+
		" ON CONFLICT (version) DO UPDATE SET sum = excluded.sum")
	return err
}

// Same reports Refused if the database whose name is where took another text of a step
// than the one that has the checksum want. kept is "" if it keeps none.
func Same(where string, version int64, kept, want string) error {
	if kept == want {
		return nil
	}
	return errs.New(errs.Refused, "step %d of the schema of %s is not the one of this build: the data was made by a development build. "+
		"Export it with that build, and import it into a new database", version, where)
}

package opl_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cardea-iam/cardea/opl"
)

// TestMangled removes, doubles and moves tokens of the golden sources, which
// gives texts that are nearly right. It checks what FuzzParse does.
func TestMangled(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	files, _ := filepath.Glob("testdata/parse/*.opl")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			o := opl.Options{Compat: i%2 == 0, Precedence: opl.Precedence(random.IntN(3))}
			src := opl.Source{Name: filepath.Base(file), Text: text}
			for range 1 + random.IntN(3) {
				src.Text = mangle(random, src, o)
			}
			checkAnything(t, src, o)
			if t.Failed() {
				t.Fatalf("options %+v, source\n%s", o, src.Text)
			}
		}
	}
}

// mangle removes a token of src, puts a copy of it somewhere else, or both.
func mangle(random *rand.Rand, src opl.Source, o opl.Options) []byte {
	gaps := opl.Gaps(src, o)
	i := random.IntN(len(gaps) - 1)
	to := gaps[random.IntN(len(gaps))]
	from, end := gaps[i], gaps[i+1]
	what := string(src.Text[from:end])
	switch random.IntN(3) {
	case 0:
		return append(append([]byte{}, src.Text[:from]...), src.Text[end:]...)
	case 1:
		return insert(src.Text, to, " "+what+" ")
	}
	if to > from && to < end {
		to = end
	}
	moved := insert(src.Text, to, " "+what+" ")
	if to <= from {
		from, end = from+len(what)+2, end+len(what)+2
	}
	return append(append([]byte{}, moved[:from]...), moved[end:]...)
}

package bench

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Axes say how the series of a result are drawn. A result without them is drawn
// as bars: each row by how much of its bar it takes, or, if nothing is promised,
// by what was measured.
type Axes struct {
	X    string `json:"x"` // label
	Y    string `json:"y"`
	LogX bool   `json:"log_x,omitempty"`
	LogY bool   `json:"log_y,omitempty"`
	Bar  *Bar   `json:"bar,omitempty"` // drawn as a line across
}

// SVG draws the result as a picture that can be read on light and dark pages.
// Where there were several rounds, a thin line shows from the least to the most.
func (r *Result) SVG() []byte {
	if r.Plot != nil {
		return r.lines()
	}
	return r.bars()
}

// A picture is an SVG document in the making.
type picture struct {
	bytes.Buffer
	width, height float64
}

// The colours differ in lightness, too, and those of dark pages are lighter.
// There are six; after them lines are dashed.
const colours = 6

const style = `<style>
text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1f2328}
.title{font-size:16px;font-weight:600}.small{font-size:11px;fill:#59636e}
.page{fill:#fff}.grid{stroke:#d8dee4}.axis{stroke:#59636e}.bar{stroke:#cf222e;stroke-dasharray:6 4}
.s0{color:#0969da}.s1{color:#bc4c00}.s2{color:#1a7f37}.s3{color:#8250df}.s4{color:#9a6700}.s5{color:#bf3989}.bad{color:#cf222e}
.again .line{stroke-dasharray:7 3}.line{fill:none;stroke:currentColor;stroke-width:2}.error{stroke:currentColor;stroke-width:1}.dot,.block{fill:currentColor}.name{fill:currentColor}
.whisker{stroke:#1f2328}
@media(prefers-color-scheme:dark){
text{fill:#f0f6fc}.small{fill:#9198a1}.page{fill:#0d1117}.grid{stroke:#2a313c}.axis{stroke:#9198a1}.bar{stroke:#ff7b72}.whisker{stroke:#f0f6fc}
.s0{color:#58a6ff}.s1{color:#f0883e}.s2{color:#3fb950}.s3{color:#be8fff}.s4{color:#d29922}.s5{color:#f778ba}.bad{color:#ff7b72}
.name{fill:currentColor}}
</style>
`

func newPicture(title string, width, height float64) *picture {
	p := &picture{width: width, height: height}
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img">`+"\n<title>%s</title>\n",
		width, height, width, height, html.EscapeString(title))
	p.WriteString(style)
	fmt.Fprintf(p, `<rect class="page" width="%.0f" height="%.0f" rx="6"/>`+"\n", width, height)
	p.text(20, 28, "title", "start", title)
	return p
}

func (p *picture) text(x, y float64, class, anchor, text string) {
	fmt.Fprintf(p, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, html.EscapeString(text))
}

func (p *picture) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(p, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

// end adds where the numbers are from.
func (p *picture) end(r *Result) []byte {
	command := []rune(r.Command)
	if room := int(p.width-40) / 6; len(command) > room {
		command = append(command[:room-1], '…')
	}
	p.text(20, p.height-24, "small", "start", string(command))
	p.text(20, p.height-9, "small", "start", r.Date+", "+r.Machine.String())
	p.WriteString("</svg>\n")
	return p.Bytes()
}

// A scale maps values to places from a to b.
type scale struct {
	min, max float64
	log      bool
	a, b     float64
}

func newScale(values []float64, log bool, a, b float64) scale {
	s := scale{min: slices.Min(values), max: slices.Max(values), log: log, a: a, b: b}
	if log {
		s.min, s.max = roundDown(s.min), roundUp(s.max)
		if s.max < 10*s.min {
			s.min, s.max = decade(s.min, math.Floor), decade(s.max, math.Ceil)
		}
		if s.min == s.max {
			s.max *= 10
		}
		return s
	}
	s.min = min(s.min, 0)
	if s.max == s.min {
		s.max++
	}
	step := s.step()
	s.max = math.Ceil(s.max/step) * step
	return s
}

// decade is the power of ten beside x.
func decade(x float64, round func(float64) float64) float64 {
	return math.Pow(10, round(math.Log10(max(x, 1e-9))))
}

// roundDown and roundUp find the nearest of 1, 2, 5, 10, 20 and so on.
func roundDown(x float64) float64 {
	power := decade(x, math.Floor)
	for _, m := range []float64{5, 2} {
		if m*power <= x {
			return m * power
		}
	}
	return power
}

func roundUp(x float64) float64 {
	power := decade(x, math.Floor)
	for _, m := range []float64{1, 2, 5} {
		if x <= m*power {
			return m * power
		}
	}
	return 10 * power
}

// step is a round distance that divides the scale in about five.
func (s scale) step() float64 {
	raw := (s.max - s.min) / 5
	power := decade(raw, math.Floor)
	for _, m := range []float64{1, 2, 2.5, 5} {
		if raw <= m*power {
			return m * power
		}
	}
	return 10 * power
}

func (s scale) at(x float64) float64 {
	lo, hi := s.min, s.max
	if s.log {
		x, lo, hi = math.Log10(max(x, s.min)), math.Log10(lo), math.Log10(hi)
	}
	return s.a + (x-lo)/(hi-lo)*(s.b-s.a)
}

func (s scale) ticks() []float64 {
	var list []float64
	if s.log {
		between := []float64{1}
		if s.max/s.min < 1001 {
			between = []float64{1, 2, 5}
		}
		for x := decade(s.min, math.Floor); x <= s.max*1.001; x *= 10 {
			for _, m := range between {
				if m*x >= s.min*0.999 && m*x <= s.max*1.001 {
					list = append(list, m*x)
				}
			}
		}
		return list
	}
	step := s.step()
	for i := 0; s.min+float64(i)*step <= s.max+step/1000; i++ {
		list = append(list, s.min+float64(i)*step)
	}
	return list
}

// short writes a number for an axis: 10k, 2M.
func short(x float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(x) >= unit.size {
			return number(x/unit.size) + unit.name
		}
	}
	return number(x)
}

// spread returns the least and the most of a row's rounds.
func (row Row) spread() (lo, hi float64) {
	if len(row.Rounds) == 0 {
		return row.Measured, row.Measured
	}
	return slices.Min(row.Rounds), slices.Max(row.Rounds)
}

// lines draws each series over x.
func (r *Result) lines() []byte {
	var series []string
	var xs, ys []float64
	longest := 0
	for _, row := range r.Rows {
		if row.Series == "" {
			continue
		}
		if !slices.Contains(series, row.Series) {
			series = append(series, row.Series)
			longest = max(longest, utf8.RuneCountInString(row.Series))
		}
		lo, hi := row.spread()
		xs, ys = append(xs, row.X), append(ys, lo, hi)
	}
	if len(series) == 0 {
		return r.bars()
	}
	if r.Plot.Bar != nil {
		ys = append(ys, r.Plot.Bar.limit())
	}
	const left, right, top, bottom = 80, 580, 72, 352
	p := newPicture(r.Title, float64(right+30+8*longest), 440)
	x, y := newScale(xs, r.Plot.LogX, left, right), newScale(ys, r.Plot.LogY, bottom, top)
	p.grid(x, y, r.Plot)
	if bar := r.Plot.Bar; bar != nil {
		p.line(left, y.at(bar.limit()), right, y.at(bar.limit()), "bar")
		p.text(left+6, y.at(bar.limit())-5, "small", "start", "the bar: "+bar.String())
	}
	type label struct {
		y     float64
		class int
		name  string
	}
	var labels []label
	for i, name := range series {
		last := p.series(r.Rows, name, i, x, y)
		labels = append(labels, label{last, i % colours, name})
	}
	slices.SortStableFunc(labels, func(a, b label) int { return cmp.Compare(a.y, b.y) })
	for i := range labels { // names keep off each other
		if i > 0 {
			labels[i].y = max(labels[i].y, labels[i-1].y+16)
		}
		p.text(right+10, labels[i].y+4, fmt.Sprintf("name s%d", labels[i].class), "start", labels[i].name)
	}
	return p.end(r)
}

func (p *picture) grid(x, y scale, axes *Axes) {
	for _, tick := range y.ticks() {
		p.line(x.a, y.at(tick), x.b, y.at(tick), "grid")
		p.text(x.a-8, y.at(tick)+4, "", "end", short(tick))
	}
	for _, tick := range x.ticks() {
		p.line(x.at(tick), y.a, x.at(tick), y.a+5, "axis")
		p.text(x.at(tick), y.a+20, "", "middle", short(tick))
	}
	p.line(x.a, y.a, x.b, y.a, "axis")
	p.text((x.a+x.b)/2, y.a+40, "", "middle", axes.X)
	p.text(20, y.b-16, "", "start", axes.Y)
}

// series draws one line and returns where its last point is.
func (p *picture) series(rows []Row, name string, number int, x, y scale) float64 {
	var points []Row
	for _, row := range rows {
		if row.Series == name {
			points = append(points, row)
		}
	}
	slices.SortFunc(points, func(a, b Row) int { return cmp.Compare(a.X, b.X) })
	class := fmt.Sprintf("s%d", number%colours)
	if number >= colours {
		class += " again"
	}
	fmt.Fprintf(p, `<g class="%s"><polyline class="line" points="`, class)
	for _, row := range points {
		fmt.Fprintf(p, "%.1f,%.1f ", x.at(row.X), y.at(row.Measured))
	}
	p.WriteString("\"/>\n")
	for _, row := range points {
		lo, hi := row.spread()
		if lo < hi {
			p.line(x.at(row.X), y.at(lo), x.at(row.X), y.at(hi), "error")
		}
		fmt.Fprintf(p, `<circle class="dot" cx="%.1f" cy="%.1f" r="3.5"/>`+"\n", x.at(row.X), y.at(row.Measured))
	}
	p.WriteString("</g>\n")
	return y.at(points[len(points)-1].Measured)
}

// bars draws one bar a row: those with a promise, or else all of them.
func (r *Result) bars() []byte {
	rows, promised := slices.Clone(r.Rows), true
	rows = slices.DeleteFunc(rows, func(row Row) bool { return row.Bar == nil })
	if len(rows) == 0 {
		rows, promised = r.Rows, false
	}
	value := func(row Row, x float64) float64 {
		if promised {
			return x / row.Bar.limit()
		}
		return x
	}
	values := []float64{1}
	if !promised {
		values = nil
	}
	longest := 0
	for _, row := range rows {
		lo, hi := row.spread()
		values = append(values, value(row, lo), value(row, hi))
		longest = max(longest, utf8.RuneCountInString(row.What))
	}
	left := float64(36 + 7*longest)
	bottom := float64(64 + 30*len(rows))
	p := newPicture(r.Title, left+480, bottom+94)
	least := slices.Max(values) / 1e4 // 0 has no place on the scale
	for i := range values {
		values[i] = max(values[i], least)
	}
	x := newScale(values, true, left, left+280)
	for _, tick := range x.ticks() {
		p.line(x.at(tick), 52, x.at(tick), bottom, "grid")
		p.text(x.at(tick), bottom+16, "", "middle", short(tick))
	}
	for i, row := range rows {
		at := float64(62 + 30*i)
		lo, hi := row.spread()
		class, text := "s0", strings.TrimSpace(number(row.Measured)+" "+row.Unit)
		if promised {
			text += ", " + row.Bar.String()
			if !*row.Met {
				class = "bad"
			}
		}
		p.text(left-10, at+14, "", "end", row.What)
		fmt.Fprintf(p, `<rect class="block %s" x="%.1f" y="%.1f" width="%.1f" height="18"/>`+"\n", class, left, at, max(x.at(value(row, row.Measured))-left, 1))
		if lo < hi {
			p.line(x.at(value(row, lo)), at+9, x.at(value(row, hi)), at+9, "whisker")
		}
		p.text(left+290, at+14, "small", "start", text)
	}
	axis := "measured, in the unit of the row"
	if promised {
		p.line(x.at(1), 48, x.at(1), bottom, "bar")
		axis = "measured / promised"
	} else if units := unitsOf(rows); len(units) == 1 {
		axis = units[0]
	}
	p.text(left+140, bottom+36, "", "middle", axis)
	return p.end(r)
}

func unitsOf(rows []Row) []string {
	var units []string
	for _, row := range rows {
		units = append(units, row.Unit)
	}
	slices.Sort(units)
	return slices.Compact(units)
}

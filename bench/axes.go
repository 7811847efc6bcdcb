package bench

// Axes say how the series of a result are drawn. A result without them is drawn
// as bars, each row by how much of its bar it takes.
type Axes struct {
	X    string `json:"x"` // label
	Y    string `json:"y"`
	LogX bool   `json:"log_x,omitempty"`
	LogY bool   `json:"log_y,omitempty"`
	Bar  *Bar   `json:"bar,omitempty"` // drawn as a line across
}

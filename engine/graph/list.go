package graph

import (
	"slices"
	"unsafe"
)

// A List is a sorted list of distinct objects, in one piece or many. Pieces let a
// list of a million members change without being copied. It is two words, since walks
// have so many in their hands, and registers are few.
type List struct {
	at unsafe.Pointer // the first object; or, with n inPieces, the bigList
	n  int
}

const inPieces = -1

// A bigList has pieces of at most pieceMax members, none of them empty.
type bigList struct {
	pieces [][]uint32
	len    int
}

const (
	bigMin   = 512 // lists with more members are kept in pieces, outside of their chunk
	pieceMax = 1024
)

func flatList(objects []uint32) List {
	return List{unsafe.Pointer(unsafe.SliceData(objects)), len(objects)}
}

func (l *bigList) list() List { return List{unsafe.Pointer(l), inPieces} }

// flat returns the objects of a list that is not in pieces.
func (l List) flat() []uint32 { return unsafe.Slice((*uint32)(l.at), l.n) }

// big returns a list in pieces, nil if it is not.
func (l List) big() *bigList {
	if l.n != inPieces {
		return nil
	}
	return (*bigList)(l.at)
}

// Len returns the number of objects.
func (l List) Len() int {
	if l.n == inPieces {
		return l.big().len
	}
	return l.n
}

// Pieces returns the number of pieces, and Piece one of them, which must not be
// written.
func (l List) Pieces() int {
	if l.n == inPieces {
		return len(l.big().pieces)
	}
	return 1
}

// Piece returns piece i, of which piece 0 may be empty.
func (l List) Piece(i int) []uint32 {
	if l.n == inPieces {
		return l.big().pieces[i]
	}
	return l.flat()
}

// Has reports whether the object is in the list.
func (l List) Has(object uint32) bool {
	if l.n == 1 {
		return *(*uint32)(l.at) == object
	}
	return l.has(object)
}

func (l List) has(object uint32) bool {
	var piece []uint32
	if big := l.big(); big != nil {
		i, found := slices.BinarySearchFunc(big.pieces, object, func(p []uint32, x uint32) int { return compare(p[0], x) })
		if found {
			return true
		}
		if i == 0 {
			return false
		}
		piece = big.pieces[i-1]
	} else {
		piece = l.flat()
	}
	if len(piece) <= 8 {
		return slices.Contains(piece, object)
	}
	_, found := slices.BinarySearch(piece, object)
	return found
}

// All yields the objects in order.
func (l List) All(yield func(uint32) bool) {
	for i := range l.Pieces() {
		for _, object := range l.Piece(i) {
			if !yield(object) {
				return
			}
		}
	}
}

func compare(a, b uint32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// An edit adds an object to a list, or takes it out. Edits come sorted by object,
// each object once.
type edit struct {
	object uint32
	insert bool
}

// edited appends list with its edits to out.
func edited(out, list []uint32, edits []edit) []uint32 {
	for _, e := range edits {
		at, found := slices.BinarySearch(list, e.object)
		out = append(out, list[:at]...)
		if e.insert {
			out = append(out, e.object)
		}
		if found {
			at++
		}
		list = list[at:]
	}
	return append(out, list...)
}

// edited returns a list with its edits. Pieces that they do not touch are shared.
func (l *bigList) edited(edits []edit) *bigList {
	out := &bigList{}
	for i, piece := range l.pieces {
		n := len(edits)
		if i+1 < len(l.pieces) {
			n, _ = slices.BinarySearchFunc(edits, l.pieces[i+1][0], func(e edit, x uint32) int { return compare(e.object, x) })
		}
		if n > 0 {
			piece = edited(make([]uint32, 0, len(piece)+n), piece, edits[:n])
			edits = edits[n:]
		}
		out.add(piece)
	}
	return out
}

// add appends a piece, cut if it is too long.
func (l *bigList) add(piece []uint32) {
	l.len += len(piece)
	for len(piece) > pieceMax {
		half := pieceMax / 2
		l.pieces = append(l.pieces, slices.Clone(piece[:half]))
		piece = piece[half:]
	}
	if len(piece) > 0 {
		l.pieces = append(l.pieces, piece)
	}
}

func newBig(list []uint32) *bigList {
	l := &bigList{}
	l.add(slices.Clone(list))
	return l
}

func (l *bigList) flat() []uint32 { return slices.Concat(l.pieces...) }

// bytes estimates what a list takes outside of its chunk.
func (l *bigList) bytes() int64 { return int64(4*l.len + 28*len(l.pieces) + 48) }

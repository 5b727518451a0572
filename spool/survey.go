package spool

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
)

// bbolt checks its two meta pages and nothing else: a page that was cut off or
// garbled makes it panic, some of it in goroutines of its own where nobody can
// recover. So a file is surveyed before bbolt sees it. The format is that of
// go.etcd.io/bbolt/internal/common, version 2, numbers in the machine's order.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader  = 16 // id 8, flags 2, count 2, overflow 4
	elementSize = 16 // leaf: flags 4, pos 4, ksize 4, vsize 4; branch: pos 4, ksize 4, page 8
	branchPage  = 0x01
	leafPage    = 0x02
	bucketLeaf  = 0x01
	metaSize    = 64
	bucketSize  = 16 // root 8, sequence 8
	maxDepth    = 32 // far beyond what 2^64 pages of two keys each need in practice
)

var native = binary.NativeEndian

// meta is bbolt's root of everything.
type meta struct {
	pageSize int
	root     uint64
	pages    uint64
	tx       uint64
}

func parseMeta(b []byte) (meta, bool) {
	if len(b) < pageHeader+metaSize {
		return meta{}, false
	}
	b = b[pageHeader:]
	sum := fnv.New64a()
	sum.Write(b[:56])
	m := meta{
		pageSize: int(native.Uint32(b[8:])), root: native.Uint64(b[16:]),
		pages: native.Uint64(b[40:]), tx: native.Uint64(b[48:]),
	}
	ok := native.Uint32(b) == boltMagic && native.Uint32(b[4:]) == boltVersion && native.Uint64(b[56:]) == sum.Sum64() &&
		m.pageSize >= 1<<10 && m.pageSize <= 1<<16 && m.pageSize&(m.pageSize-1) == 0
	return m, ok
}

// damage is an entry whose place in the file is known and whose value is not
// what it was.
type damage struct {
	key   []byte
	value []byte
	err   error
}

// survey is what a file holds.
type survey struct {
	file     io.ReaderAt
	size     int64
	pageSize int
	pages    uint64

	// last is the highest number that was given to an entry.
	last uint64
	// damaged are entries that can't be read.
	damaged []damage
	// err says what is wrong with the file as a whole; bbolt must not open it.
	err error

	visit   func(h header, value []byte)
	visited map[uint64]struct{}
	key     []byte
}

// look reads all of a file, and calls visit for each entry in order. The value
// is only valid during the call.
func look(file io.ReaderAt, size int64, visit func(h header, value []byte)) *survey {
	s := &survey{file: file, size: size, pageSize: pageSize, visit: visit, visited: make(map[uint64]struct{})}
	m, err := s.meta()
	if err != nil {
		s.err = err
		return s
	}
	s.err = s.walk(m.root, 0, func(flags uint32, key, value []byte) error {
		if flags != bucketLeaf || !bytes.Equal(key, bucket) {
			return fmt.Errorf("there is something else at its root: %q", key)
		}
		return s.bucket(value)
	})
	return s
}

// meta returns the newer meta page. That one of the two is bad is damage, too:
// what the other one shows may be what was before the last commit.
func (s *survey) meta() (meta, error) {
	b := make([]byte, pageHeader+metaSize)
	read := func(at int64) (meta, bool) {
		n, _ := s.file.ReadAt(b, at)
		return parseMeta(b[:n])
	}
	first, ok := read(0)
	if !ok {
		return meta{}, errors.New("its first meta page is damaged")
	}
	second, ok := read(int64(first.pageSize))
	if !ok || second.pageSize != first.pageSize {
		return meta{}, errors.New("its second meta page is damaged")
	}
	newer := first
	if second.tx > first.tx {
		newer = second
	}
	s.pageSize, s.pages = newer.pageSize, newer.pages
	if uint64(s.size)/uint64(s.pageSize) < newer.pages {
		return meta{}, fmt.Errorf("its end is missing: it has %d bytes of %d pages", s.size, newer.pages)
	}
	return newer, nil
}

// bucket looks through the bucket of signals.
func (s *survey) bucket(value []byte) error {
	if len(value) < bucketSize {
		return errors.New("the bucket is cut off")
	}
	s.last = max(s.last, native.Uint64(value[8:]))
	s.key = nil
	root := native.Uint64(value)
	if root == 0 {
		return s.leaf(value[bucketSize:], s.entry)
	}
	return s.walk(root, 0, s.entry)
}

func (s *survey) entry(flags uint32, key, value []byte) error {
	if flags != 0 || len(key) != keySize {
		return fmt.Errorf("an entry is none of the spool's: %q", key)
	}
	h, err := readHeader(value)
	if err == nil && h.sequence != binary.BigEndian.Uint64(key) {
		err = errDamaged
	}
	if err != nil {
		s.damaged = append(s.damaged, damage{bytes.Clone(key), bytes.Clone(value), err})
		return nil
	}
	s.last = max(s.last, h.sequence)
	s.visit(h, value)
	return nil
}

type leafFunc func(flags uint32, key, value []byte) error

// walk goes through the tree below a page.
func (s *survey) walk(id uint64, depth int, each leafFunc) error {
	page, err := s.page(id)
	if err != nil {
		return err
	}
	switch flags := native.Uint16(page[8:]); {
	case flags == leafPage:
		return s.leaf(page, each)
	case flags != branchPage || depth > maxDepth:
		return fmt.Errorf("page %d is no page of a tree", id)
	}
	count := int(native.Uint16(page[10:]))
	if !packed(page, count, 0) {
		return fmt.Errorf("page %d is garbled", id)
	}
	for i := range count {
		at := pageHeader + i*elementSize
		key, ok := part(page, at+int(native.Uint32(page[at:])), int(native.Uint32(page[at+4:])))
		if !ok || len(key) != keySize || bytes.Compare(key, s.key) <= 0 && s.key != nil {
			return fmt.Errorf("page %d is garbled", id)
		}
		// The first key below must not be less than this one; one just before
		// it is what has to be exceeded.
		s.key = before(key)
		if err := s.walk(native.Uint64(page[at+8:]), depth+1, each); err != nil {
			return err
		}
	}
	return nil
}

// before returns a key that sorts before key and after all shorter or lesser
// ones that a tree of keys of one length can have.
func before(key []byte) []byte {
	key = bytes.Clone(key)
	for i := len(key) - 1; i >= 0; i-- {
		key[i]--
		if key[i] != 0xff {
			return key
		}
	}
	return nil
}

// leaf calls each for the elements of a leaf.
func (s *survey) leaf(page []byte, each leafFunc) error {
	if len(page) < pageHeader || native.Uint16(page[8:]) != leafPage {
		return errors.New("a page that should hold entries does not")
	}
	count := int(native.Uint16(page[10:]))
	if !packed(page, count, 4) {
		return fmt.Errorf("page %d is garbled", native.Uint64(page))
	}
	for i := range count {
		flags, key, value, ok := element(page, i)
		if !ok || bytes.Compare(key, s.key) <= 0 && s.key != nil {
			return fmt.Errorf("page %d is garbled", native.Uint64(page))
		}
		s.key = key
		if err := each(flags, key, value); err != nil {
			return err
		}
	}
	return nil
}

// packed reports whether a page has as many elements as it says: the first
// one's key, whose position is at a given place in the element, follows the last
// element.
func packed(page []byte, count, position int) bool {
	size := count * elementSize
	return count == 0 || pageHeader+size <= len(page) && int(native.Uint32(page[pageHeader+position:])) == size
}

// element returns an element of a leaf.
func element(page []byte, i int) (flags uint32, key, value []byte, ok bool) {
	at := pageHeader + i*elementSize
	if at+elementSize > len(page) {
		return 0, nil, nil, false
	}
	pos, ksize, vsize := int(native.Uint32(page[at+4:])), int(native.Uint32(page[at+8:])), int(native.Uint32(page[at+12:]))
	key, ok = part(page, at+pos, ksize)
	if !ok {
		return 0, nil, nil, false
	}
	value, ok = part(page, at+pos+ksize, vsize)
	return native.Uint32(page[at:]), key, value, ok
}

func part(b []byte, at, size int) ([]byte, bool) {
	if at < 0 || size < 0 || at > len(b) || size > len(b)-at {
		return nil, false
	}
	return b[at : at+size], true
}

// page reads a page with what it flows over into. No page belongs to two places.
func (s *survey) page(id uint64) ([]byte, error) {
	if id < 2 || id >= s.pages {
		return nil, fmt.Errorf("page %d does not exist", id)
	}
	page, err := s.read(id)
	if err != nil {
		return nil, err
	}
	for i := range uint64(len(page) / s.pageSize) {
		if _, again := s.visited[id+i]; again {
			return nil, fmt.Errorf("page %d is used twice", id+i)
		}
		s.visited[id+i] = struct{}{}
	}
	return page, nil
}

func (s *survey) read(id uint64) ([]byte, error) {
	at := int64(id) * int64(s.pageSize)
	head := make([]byte, s.pageSize)
	if _, err := s.file.ReadAt(head, at); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	size := (int64(native.Uint32(head[12:])) + 1) * int64(s.pageSize)
	if native.Uint64(head) != id || at+size > s.size {
		return nil, fmt.Errorf("page %d is garbled", id)
	}
	if size == int64(s.pageSize) {
		return head, nil
	}
	page := make([]byte, size)
	if _, err := s.file.ReadAt(page, at); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return page, nil
}

// salvage calls keep for every intact entry of a file, whether or not the tree
// leads to it, in order. Pages that bbolt had freed may show entries that were
// taken out before; to decide those again changes nothing.
func (s *survey) salvage(keep func(value []byte) error) error {
	type place struct {
		sequence uint64
		page     uint64
		element  int
		inline   int // -1, or the element of an inline bucket's page
	}
	var found []place
	for id := range uint64(s.size) / uint64(s.pageSize) {
		page, err := s.read(id)
		if err != nil {
			continue
		}
		intact(page, func(i int, flags uint32, value []byte) {
			if flags == bucketLeaf && len(value) > bucketSize+pageHeader {
				intact(value[bucketSize:], func(j int, _ uint32, value []byte) {
					if h, err := readHeader(value); err == nil {
						found = append(found, place{h.sequence, id, i, j})
					}
				})
			} else if h, err := readHeader(value); err == nil {
				found = append(found, place{h.sequence, id, i, -1})
			}
		})
	}
	slices.SortStableFunc(found, func(a, b place) int { return cmp.Compare(a.sequence, b.sequence) })
	found = slices.CompactFunc(found, func(a, b place) bool { return a.sequence == b.sequence })
	for _, p := range found {
		page, err := s.read(p.page)
		if err != nil {
			return err
		}
		_, _, value, _ := element(page, p.element)
		if p.inline >= 0 {
			_, _, value, _ = element(value[bucketSize:], p.inline)
		}
		if err := keep(value); err != nil {
			return err
		}
	}
	return nil
}

// intact calls each for the elements of what may be a leaf.
func intact(page []byte, each func(i int, flags uint32, value []byte)) {
	if native.Uint16(page[8:]) != leafPage {
		return
	}
	for i := range int(native.Uint16(page[10:])) {
		if flags, _, value, ok := element(page, i); ok {
			each(i, flags, value)
		}
	}
}

// A verifier of tlog-tiles logs that shares no code with Tenure: signed notes and Merkle trees are those of
// golang.org/x/mod/sumdb. It checks the checkpoint's signature, that every raw entry is the one in the
// signed tree (its hash out of authenticated tiles; for each bundle's first and last also an inclusion proof),
// that the raw entries make the signed root, and that the tree extends earlier checkpoints.
//
//	verify -vkey KEY [-earlier FILE]... DIR|URL
//
// Exit status 0: all holds. 1: something does not, named on standard error.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type log struct {
	base  string
	tiles map[string][]byte
}

func (l *log) fetch(path string) ([]byte, error) {
	if !strings.HasPrefix(l.base, "http://") {
		return os.ReadFile(filepath.Join(l.base, path))
	}
	response, err := http.Get(l.base + "/" + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	return io.ReadAll(response.Body)
}

// path spells coordinates as C2SP tlog-tiles does; tlog's own Tile.Path has the tile height in it.
func path(level string, n int64, width int) string {
	text := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		text = fmt.Sprintf("x%03d/%s", n%1000, text)
	}
	text = "tile/" + level + "/" + text
	if width < 1<<height {
		text += ".p/" + strconv.Itoa(width)
	}
	return text
}

// Height, ReadTiles and SaveTiles make the log a tlog.TileReader.
func (l *log) Height() int { return height }

func (l *log) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(tiles))
	for i, tile := range tiles {
		name := path(strconv.Itoa(tile.L), tile.N, tile.W)
		if all[i] = l.tiles[name]; all[i] != nil {
			continue
		}
		data, err := l.fetch(name)
		if err != nil {
			return nil, err
		}
		all[i] = data
	}
	return all, nil
}

// SaveTiles gets tiles that were authenticated against the signed root.
func (l *log) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	for i, tile := range tiles {
		l.tiles[path(strconv.Itoa(tile.L), tile.N, tile.W)] = data[i]
	}
}

func openCheckpoint(raw []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(raw, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, fmt.Errorf("the root is no hash")
	}
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree, nil
}

func readBundle(l *log, n int64, width int) ([][]byte, error) {
	data, err := l.fetch(path("entries", n, width))
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(data) > 0 {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("bundle %d ends inside an entry", n)
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		entries = append(entries, data[2:end])
		data = data[end:]
	}
	if len(entries) != width {
		return nil, fmt.Errorf("bundle %d holds %d entries, not %d", n, len(entries), width)
	}
	return entries, nil
}

func prove(tree tlog.Tree, authenticated tlog.HashReader, index int64, entry []byte) error {
	proof, err := tlog.ProveRecord(tree.N, index, authenticated)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

func verify(base, vkey string, earlier []string) (int64, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return 0, err
	}
	l := &log{base: strings.TrimSuffix(base, "/"), tiles: map[string][]byte{}}
	raw, err := l.fetch("checkpoint")
	if err != nil {
		return 0, err
	}
	tree, err := openCheckpoint(raw, verifier)
	if err != nil {
		return 0, fmt.Errorf("checkpoint: %w", err)
	}
	if tree.N == 0 {
		return 0, fmt.Errorf("the log is empty")
	}
	authenticated := tlog.TileHashReader(tree, l)

	// The tree again from raw entries alone: nothing that the log stores goes into it.
	var stored []tlog.Hash
	own := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for index := int64(0); index < tree.N; {
		n := index >> height
		width := tree.N - n<<height
		if width > 1<<height {
			width = 1 << height
		}
		entries, err := readBundle(l, n, int(width))
		if err != nil {
			return 0, err
		}
		places := make([]int64, len(entries))
		for i := range places {
			places[i] = tlog.StoredHashIndex(0, index+int64(i))
		}
		signed, err := authenticated.ReadHashes(places)
		if err != nil {
			return 0, fmt.Errorf("bundle %d: %w", n, err)
		}
		for i, entry := range entries {
			if signed[i] != tlog.RecordHash(entry) {
				return 0, fmt.Errorf("entry %d is not the one in the signed tree", index)
			}
			if i == 0 || i == len(entries)-1 {
				if err := prove(tree, authenticated, index, entry); err != nil {
					return 0, fmt.Errorf("entry %d: %w", index, err)
				}
			}
			hashes, err := tlog.StoredHashes(index, entry, own)
			if err != nil {
				return 0, err
			}
			stored = append(stored, hashes...)
			index++
		}
	}
	root, err := tlog.TreeHash(tree.N, own)
	if err != nil {
		return 0, err
	}
	if root != tree.Hash {
		return 0, fmt.Errorf("the entries do not make the signed root")
	}
	for _, file := range earlier {
		raw, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		old, err := openCheckpoint(raw, verifier)
		if err != nil {
			return 0, fmt.Errorf("earlier checkpoint: %w", err)
		}
		if old.N > tree.N {
			return 0, fmt.Errorf("rollback: the log had %d entries, now %d", old.N, tree.N)
		}
		proof, err := tlog.ProveTree(tree.N, old.N, authenticated)
		if err != nil {
			return 0, fmt.Errorf("consistency: %w", err)
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
			return 0, fmt.Errorf("fork: %w", err)
		}
	}
	return tree.N, nil
}

type files []string

func (f *files) String() string     { return strings.Join(*f, ",") }
func (f *files) Set(v string) error { *f = append(*f, v); return nil }

func main() {
	var earlier files
	vkey := flag.String("vkey", "", "the log's verifier key")
	flag.Var(&earlier, "earlier", "a checkpoint seen before")
	flag.Parse()
	if *vkey == "" || flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	size, err := verify(flag.Arg(0), *vkey, earlier)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("verified %d entries\n", size)
}

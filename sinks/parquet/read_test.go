package parquet

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tailwater/internal/objstore"
)

// committed reads the whole lake of the fixture through the public reader.
func committed(t *testing.T, s objstore.Store) (ids []string, err error) {
	t.Helper()
	for b, err := range Committed(t.Context(), s, "orders", DefaultLayout) {
		if err != nil {
			return ids, err
		}
		for _, d := range b.Done.Files {
			err := ReadFile(t.Context(), s, d, func(r *FileRow) error {
				id, _ := r.Text("id")
				ids = append(ids, id)
				return nil
			})
			if err != nil {
				return ids, err
			}
		}
	}
	return ids, nil
}

func filled(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	w := newWriter("00", f.print)
	for i := range 22 {
		f.log.append(w.event(0, day, row0(i)))
	}
	f.drain(t, f.options())
	return f
}

func TestCommitted_YieldsEveryRowOnce(t *testing.T) {
	f := filled(t)
	ids, err := committed(t, f.store)
	if err != nil || fmt.Sprint(ids) != "[0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21]" {
		t.Errorf("committed ids = %v, %v, want 0 to 21", ids, err)
	}
}

// anyKey returns the first key below a prefix with a suffix.
func anyKey(t *testing.T, s objstore.Store, prefix, suffix string, except ...string) string {
	t.Helper()
	for info, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(info.Key, suffix) && !slices.Contains(except, info.Key) {
			return info.Key
		}
	}
	t.Fatalf("no object below %s ends with %s", prefix, suffix)
	return ""
}

func TestCommitted_NamesWhatIsMissingOrAltered(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(t *testing.T, f *fixture) (key string)
		want string
	}{
		"file deleted": {func(t *testing.T, f *fixture) string {
			key := anyKey(t, f.store, "orders/", ".parquet")
			if err := f.store.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			return key
		}, "is missing"},
		"file altered": {func(t *testing.T, f *fixture) string {
			key := anyKey(t, f.store, "orders/", ".parquet")
			if err := f.store.Put(t.Context(), key, strings.NewReader("PAR1"), 4); err != nil {
				t.Fatal(err)
			}
			return key
		}, "another SHA-256"},
		"manifest deleted": {func(t *testing.T, f *fixture) string {
			key := anyKey(t, f.store, "_tailwater/orders/default/inc-1/00000/000000000000000000", ".json")
			if err := f.store.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			return key
		}, "is missing"},
		"batch in the middle deleted": {func(t *testing.T, f *fixture) string {
			first := anyKey(t, f.store, "_tailwater/orders/default/inc-1/00000/0", ".json")
			second := anyKey(t, f.store, "_tailwater/orders/default/inc-1/00000/0", ".json", first)
			for _, key := range []string{second, strings.TrimSuffix(second, ".json") + ".done"} {
				if err := f.store.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
			return "the next begins"
		}, "a batch ends"},
	} {
		t.Run(name, func(t *testing.T) {
			f := filled(t)
			key := c.harm(t, f)
			_, err := committed(t, f.store)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), key) {
				t.Errorf("error = %v, want one that says %q and %q", err, c.want, key)
			}
		})
	}
}

func TestReadFile_GivesDecimalsAndDatesAsText(t *testing.T) {
	for _, c := range []struct {
		precision, scale int
		text             string
	}{
		{9, 2, "-12.50"}, {18, 0, "123456789012345678"}, {38, 10, "-0.0000000001"}, {38, 30, "12345678.123456789012345678901234567890"}, {5, 5, "0.00001"},
	} {
		conv := converter{col: Column{Kind: KindDecimal, Precision: c.precision, Scale: c.scale}}
		v, err := conv.value([]byte(c.text), new([]byte))
		if err != nil {
			t.Errorf("decimal(%d,%d) of %s: %v", c.precision, c.scale, c.text, err)
			continue
		}
		if got := decimalText(v, c.scale); got != c.text {
			t.Errorf("decimal(%d,%d) of %s reads back as %s", c.precision, c.scale, c.text, got)
		}
	}
	conv := converter{col: Column{Kind: KindDecimal, Precision: 4, Scale: 2}}
	for _, s := range []string{"123.45", "1.234", "abc", "", "--1", "1e3", ".", "-", "-.", "1.2.3"} {
		if v, err := conv.value([]byte(`"`+s+`"`), new([]byte)); err == nil {
			t.Errorf("decimal(4,2) of %q = %v, want a misfit", s, v)
		}
	}
}

package verify

import "testing"

func TestVerify_FindsNothingWhereNothingIsWrong(t *testing.T) {
	f := newFixture(t, 2, shopViews)
	f.start()
	r := f.verify()
	clean(t, r)
	t.Logf("%+v", r)
	f.halt()
	r = f.verify()
	clean(t, r)
	t.Logf("%+v", r)
}

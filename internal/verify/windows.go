package verify

import "context"

func (v *verifier) compareWindows(ctx context.Context) error { return nil }

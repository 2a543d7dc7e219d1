package redis

import (
	"context"
	"errors"
)

func (s *Store) preflight(ctx context.Context) (*Preflight, error) { return nil, errors.ErrUnsupported }
func (s *Store) windows(ctx context.Context, metric string, n int) ([]WindowInfo, error) {
	return nil, errors.ErrUnsupported
}
func (s *Store) window(ctx context.Context, metric string, start int64) (*Window, error) {
	return nil, errors.ErrUnsupported
}
